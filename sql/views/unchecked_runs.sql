-- One row a run whose counts have changed since sql/checks last read them.
select
    run_id,
    revision
from sync_runs
where
    checked_revision is null
    or checked_revision <> revision
