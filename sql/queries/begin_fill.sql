-- Begins a reading of the whole org.
insert into known_record_fills (
    fill_number,
    org_id,
    person_id_field,
    is_whole,
    record_count,
    holder_id,
    holder_run_id,
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
