-- Takes what a run's own workers have left open, under a higher fence: whoever still holds one is fenced off.
update lead_batches
set
    fence = fence + 1,
    lease_until = :lease_until
where
    leased_by_run_id = :run_id
    and batch_state <> 'settled'
returning *
