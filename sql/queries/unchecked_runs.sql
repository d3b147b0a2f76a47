-- The runs whose counts have moved since the checks last looked, and how often by now.
select
    run_id,
    revision
from sync_runs
where
    checked_revision is null
    or checked_revision <> revision
