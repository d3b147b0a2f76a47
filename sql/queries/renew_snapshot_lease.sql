-- Keeps a reading in the hands of the run that writes it; no row means that it has lost it.
update org_snapshots
set held_until = :held_until
where
    fill_number = :fill_number
    and holder_id = :holder_id
