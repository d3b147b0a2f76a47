-- Writes the records matched; a record matched twice in a run is told as it was found last.
insert into duplicate_persons (
    run_id,
    person_id,
    matched_in,
    matched_id,
    match_key,
    matched_count,
    is_ambiguous,
    action_taken,
    found_at
)
select
    :run_id,
    person_id,
    matched_in,
    matched_id,
    match_key,
    matched_count,
    is_ambiguous,
    action_taken,
    :now

from found_duplicates

where true

on conflict (run_id, person_id, matched_in, matched_id) do update
    set
        match_key = excluded.match_key,
        matched_count = excluded.matched_count,
        is_ambiguous = excluded.is_ambiguous,
        action_taken = excluded.action_taken,
        found_at = excluded.found_at
