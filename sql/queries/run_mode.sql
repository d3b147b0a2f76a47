-- What was asked of a run.
select run_mode from sync_runs
where run_id = :run_id
