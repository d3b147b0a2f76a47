-- A person is a duplicate, and no matched record says of what.
with

without_match as (

    select
        person_id,
        run_id
    from person_outcomes
    where
        run_id in (select unchecked_runs.run_id from unchecked_runs)
        -- Wrapped in coalesce, so that no index by outcome is used: it would lead through the whole history.
        and coalesce(outcome, '') = 'duplicate'
        and not exists (
            select 1
            from duplicate_persons
            where
                duplicate_persons.run_id = person_outcomes.run_id
                and duplicate_persons.person_id = person_outcomes.person_id
        )

)

select * from without_match
