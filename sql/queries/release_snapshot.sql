-- Lets go of a reading without a word about what it holds.
update org_snapshots
set
    holder_id = null,
    leased_by_run_id = null,
    held_until = null
where
    fill_number = :fill_number
    and holder_id = :holder_id
