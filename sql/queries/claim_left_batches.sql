-- Takes what a run's own workers have left open, under a higher fencing_token: whoever still holds one is fenced off.
update lead_batches
set
    fencing_token = fencing_token + 1,
    lease_until = :lease_until
where
    leased_by_run_id = :run_id
    and batch_state <> 'completed'
returning *
