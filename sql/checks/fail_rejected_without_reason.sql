-- A person is rejected, and no broken rule says why.
select
    person_id,
    run_id
from person_outcomes
where
    outcome = 'rejected'
    and not exists (
        select 1
        from rejected_persons
        where
            rejected_persons.run_id = person_outcomes.run_id
            and rejected_persons.person_id = person_outcomes.person_id
    )
