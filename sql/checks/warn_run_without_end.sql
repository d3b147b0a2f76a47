-- A run began more than a day ago and has not ended.
select
    run_id,
    process_host,
    started_at
from sync_runs
where
    run_state = 'running'
    and started_at < :a_day_ago
