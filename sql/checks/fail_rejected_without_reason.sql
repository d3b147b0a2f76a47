-- A person is rejected, and no broken rule says why.
with

without_reason as (

    select
        person_id,
        run_id
    from person_outcomes
    where
        run_id in (select unchecked_runs.run_id from unchecked_runs)
        -- Wrapped in coalesce, so that no index by outcome is used: it would lead through the whole history.
        and coalesce(outcome, '') = 'rejected'
        and not exists (
            select 1
            from rejected_persons
            where
                rejected_persons.run_id = person_outcomes.run_id
                and rejected_persons.person_id = person_outcomes.person_id
        )

)

select * from without_reason
