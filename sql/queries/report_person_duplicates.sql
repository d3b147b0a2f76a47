-- The records these persons matched in the run that had the latest word on them.
select
    duplicate_persons.person_id,
    duplicate_persons.matched_in,
    duplicate_persons.matched_id
from duplicate_persons
inner join person_outcomes
    on
        duplicate_persons.person_id = person_outcomes.person_id
        and duplicate_persons.run_id = person_outcomes.run_id
where duplicate_persons.person_id in (:person_ids)
order by duplicate_persons.person_id, duplicate_persons.matched_in, duplicate_persons.matched_id
