-- Gives a reading to one worker of a run to write on.
update org_snapshots
set
    holder_id = :holder_id,
    leased_by_run_id = :run_id,
    held_until = :held_until
where fill_number = :fill_number
