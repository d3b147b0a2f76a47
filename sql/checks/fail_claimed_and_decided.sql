-- A person is claimed who already has a lead, or who is held.
with

decided as (

    select
        person_claims.person_id,
        person_claims.batch_id,
        person_outcomes.outcome,
        person_outcomes.lead_id
    from person_claims
    -- A left join: with an inner join SQLite scanned all outcomes for the few claims.
    left join person_outcomes
        on person_claims.person_id = person_outcomes.person_id
    where
        person_claims.run_id in (select unchecked_runs.run_id from unchecked_runs)
        and coalesce(person_outcomes.outcome, '') in ('created', 'updated', 'held')
        -- These are to be sent again: a human has decided that there is no lead.
        and coalesce(person_outcomes.reason_code, '') <> 'RESEND'

)

select * from decided
