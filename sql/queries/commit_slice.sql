-- Lets the slice after this one be recorded, if it is still this one's turn and the run goes on.
update sync_runs
set committed_position = :moved_position
where
    run_id = :run_id
    and run_state = 'running'
    and stopped_at is null
    and committed_position = :before_position
