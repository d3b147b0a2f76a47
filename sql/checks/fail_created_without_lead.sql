-- A person counts as created, and nobody knows the lead.
with

unchecked as (

    select run_id from sync_runs
    where checked_revision is null or checked_revision <> revision

    union

    select cast(:run_id as text) as run_id

),

leadless as (

    select
        person_id,
        batch_id
    from person_outcomes
    where
        run_id in (select unchecked.run_id from unchecked)
        -- Asked so, the index by outcome is left alone: it would lead through the whole history.
        and coalesce(outcome, '') = 'created'
        and lead_id is null

)

select * from leadless
