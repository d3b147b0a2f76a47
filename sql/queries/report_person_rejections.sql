-- The rules these persons broke in the run that had the latest word on them.
select
    rejected_persons.person_id,
    rejected_persons.rule_name,
    rejected_persons.message
from rejected_persons
inner join person_outcomes
    on
        rejected_persons.person_id = person_outcomes.person_id
        and rejected_persons.run_id = person_outcomes.run_id
where rejected_persons.person_id in (:person_ids)
order by rejected_persons.person_id, rejected_persons.rule_name
