-- A person is a duplicate, and no matched record says of whom.
select
    person_id,
    run_id
from person_outcomes
where
    outcome = 'duplicate'
    and not exists (
        select 1
        from duplicate_persons
        where
            duplicate_persons.run_id = person_outcomes.run_id
            and duplicate_persons.person_id = person_outcomes.person_id
    )
