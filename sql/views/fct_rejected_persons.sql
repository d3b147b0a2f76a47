-- One row a run, person and rule broken, without the value of the field.
-- field_name: the persons column or Lead field; NONE when it is about no field
-- is_still_rejected: whether this run's rejection is still the person's outcome
-- rejected_date: the UTC day of rejected_at
select
    ---------- ids
    rejected_persons.run_id,
    rejected_persons.person_id,
    rejected_persons.rule_name,

    ---------- attributes
    rejected_persons.stage,
    coalesce(rejected_persons.field_name, 'NONE') as field_name,
    rejected_persons.is_retryable,
    person_outcomes.person_id is not null as is_still_rejected,

    ---------- dates
    date(rejected_persons.rejected_at) as rejected_date,
    rejected_persons.rejected_at
from rejected_persons
left join person_outcomes
    on
        rejected_persons.person_id = person_outcomes.person_id
        and rejected_persons.run_id = person_outcomes.run_id
        and person_outcomes.outcome = 'rejected'
