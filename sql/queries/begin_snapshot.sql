-- Begins a reading of the whole org.
insert into org_snapshots (
    fill_number,
    org_id,
    person_id_field,
    is_whole,
    record_count,
    holder_id,
    leased_by_run_id,
    held_until,
    begun_at
)
values (
    :fill_number,
    :org_id,
    :person_id_field,
    false,
    0,
    :holder_id,
    :run_id,
    :held_until,
    :now
)
