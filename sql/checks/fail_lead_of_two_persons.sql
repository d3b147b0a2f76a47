-- One lead was created for two persons.
with

created as (

    select lead_id
    from person_outcomes
    where
        run_id in (select unchecked_runs.run_id from unchecked_runs)
        -- Wrapped in coalesce, so that no index by outcome is used: it would lead through the whole history.
        and coalesce(outcome, '') = 'created'

),

shared as (

    -- The other person may belong to a run that was checked long ago.
    select
        lead_id,
        count(*) as person_count
    from person_outcomes
    where
        lead_id in (select created.lead_id from created)
        and coalesce(outcome, '') = 'created'
    group by lead_id
    having count(*) > 1

)

select * from shared
