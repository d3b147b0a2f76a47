-- The checks have looked at this run as it stood after so many changes.
update sync_runs set checked_revision = :revision
where run_id = :run_id
