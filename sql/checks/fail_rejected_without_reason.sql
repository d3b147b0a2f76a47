-- A person is rejected, and no broken rule says why.
with

unchecked as (

    select run_id from sync_runs
    where checked_revision is null or checked_revision <> revision

    union

    select cast(:run_id as text) as run_id

),

reasonless as (

    select
        person_id,
        run_id
    from person_outcomes
    where
        run_id in (select unchecked.run_id from unchecked)
        -- Asked so, the index by outcome is left alone: it would lead through the whole history.
        and coalesce(outcome, '') = 'rejected'
        and not exists (
            select 1
            from rejected_persons
            where
                rejected_persons.run_id = person_outcomes.run_id
                and rejected_persons.person_id = person_outcomes.person_id
        )

)

select * from reasonless
