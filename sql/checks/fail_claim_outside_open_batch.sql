-- A person is claimed, and no open batch contains the person.
with

unbatched as (

    select
        person_claims.person_id,
        person_claims.batch_id,
        lead_batches.batch_state
    from person_claims
    left join lead_batches
        on person_claims.batch_id = lead_batches.batch_id
    where
        person_claims.run_id in (select unchecked_runs.run_id from unchecked_runs)
        and (lead_batches.batch_id is null or lead_batches.batch_state = 'completed')

)

select * from unbatched
