-- Ends a run, unless it has ended already: a run declared dead stays failed.
update sync_runs
set
    run_state = :run_state,
    finished_at = :now,
    api_call_count = :api_call_count,
    error_code = :error_code,
    error_message = :error_message
where
    run_id = :run_id
    and run_state = 'running'
