-- Where persons of a run were already known, and what was done about it.
select
    matched_in,
    match_key,
    action_taken,
    count(distinct person_id) as person_count,
    count(distinct person_id) filter (where is_ambiguous) as ambiguous_count
from duplicate_persons
where run_id = :run_id
group by matched_in, match_key, action_taken
order by matched_in, match_key, action_taken
