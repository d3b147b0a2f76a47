-- The runs whose counts have moved since the checks last looked, and how often by now.
select
    run_id,
    change_count
from sync_runs
where
    checked_count is null
    or checked_count <> change_count
