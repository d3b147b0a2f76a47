-- A person is in flight who has a lead already, or about whom nobody can know.
with

unchecked as (

    select run_id from sync_runs
    where checked_revision is null or checked_revision <> revision

    union

    select cast(:run_id as text) as run_id

),

decided as (

    select
        person_claims.person_id,
        person_claims.batch_id,
        person_outcomes.outcome,
        person_outcomes.lead_id
    from person_claims
    -- Not inner: SQLite would look through all outcomes for the few claims.
    left join person_outcomes
        on person_claims.person_id = person_outcomes.person_id
    where
        person_claims.run_id in (select unchecked.run_id from unchecked)
        and coalesce(person_outcomes.outcome, '') in ('created', 'updated', 'held')
        -- Of these a human has said that there is no lead.
        and coalesce(person_outcomes.reason_code, '') <> 'RESEND'

)

select * from decided
