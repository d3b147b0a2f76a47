-- Marks a run as failed whose process is gone.
update sync_runs
set
    run_state = 'failed',
    finished_at = :now,
    error_code = :error_code,
    error_message = :error_message
where
    run_id = :run_id
    and run_state = 'running'
