-- Takes a batch over, if it still stands as it was seen: not settled, not taken, its lease not renewed.
update lead_batches
set
    fencing_token = fencing_token + 1,
    leased_by_run_id = :run_id,
    lease_until = :lease_until
where
    batch_id = :batch_id
    and fencing_token = :fencing_token
    and lease_until = :seen_until
    and batch_state <> 'completed'
returning *
