-- One row a run, person and record matched.
-- found_date: the UTC day of found_at
select
    ---------- ids
    run_id,
    person_id,
    matched_in,
    matched_id,

    ---------- attributes
    match_key,
    action_taken,
    is_ambiguous,

    ---------- measures
    matched_count,

    ---------- dates
    date(found_at) as found_date,
    found_at
from duplicate_persons
