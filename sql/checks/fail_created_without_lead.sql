-- A person counts as created, and the lead's id is missing.
with

without_lead as (

    select
        person_id,
        batch_id
    from person_outcomes
    where
        run_id in (select unchecked_runs.run_id from unchecked_runs)
        -- Wrapped in coalesce, so that no index by outcome is used: it would lead through the whole history.
        and coalesce(outcome, '') = 'created'
        and lead_id is null

)

select * from without_lead
