-- One lead was created for two persons.
with

unchecked as (

    select run_id from sync_runs
    where checked_revision is null or checked_revision <> revision

    union

    select cast(:run_id as text) as run_id

),

created as (

    select lead_id
    from person_outcomes
    where
        run_id in (select unchecked.run_id from unchecked)
        -- Asked so, the index by outcome is left alone: it would lead through the whole history.
        and coalesce(outcome, '') = 'created'

),

shared as (

    -- The other person may be of a run that was checked long ago.
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
