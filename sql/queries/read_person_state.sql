-- What is known of a person on whom somebody has a word to say: no row for a person never met.
with

met as (

    select outcomes.person_id
    from person_outcomes as outcomes
    where outcomes.person_id = :person_id

    union

    select claims.person_id
    from person_claims as claims
    where claims.person_id = :person_id

),

standing as (

    select
        met.person_id,
        person_outcomes.outcome,
        person_outcomes.reason_code,
        person_outcomes.run_id,
        person_outcomes.batch_id,
        person_outcomes.attempt_count,
        person_claims.batch_id as claimed_by
    from met
    left join person_outcomes
        on met.person_id = person_outcomes.person_id
    left join person_claims
        on met.person_id = person_claims.person_id

)

select * from standing
