-- Takes every reading out of the hands that had it.
update org_snapshots
set
    holder_id = null,
    leased_by_run_id = null,
    held_until = null
where holder_id is not null
