-- One row a UTC day, place, key and action: where persons were already known.
-- person_count: persons matched there that day
-- ambiguous_count: of them: more than one record of a kind, so that the right one cannot be decided
with

duplicates as (

    select * from fct_duplicate_persons

),

daily as (

    select
        ---------- ids
        found_date,
        matched_in,
        match_key,
        action_taken,

        ---------- measures
        count(distinct person_id) as person_count,
        count(distinct person_id) filter (where is_ambiguous) as ambiguous_count
    from duplicates
    group by found_date, matched_in, match_key, action_taken

)

select * from daily
