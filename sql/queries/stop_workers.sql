-- Tells the workers of a run to stop; the first to say so is remembered.
update sync_runs set stopped_at = :now
where
    run_id = :run_id
    and stopped_at is null
