-- Keeps a batch for its holder a while longer.
update lead_batches
set lease_until = :lease_until
where
    batch_id = :batch_id
    and fencing_token = :fencing_token
    and leased_by_run_id = :leased_by_run_id
    and batch_state = :seen_state
returning *
