-- The person count of an open batch differs from its number of claims.
with

claimed as (

    select
        batch_id,
        count(*) as claim_count
    from person_claims
    group by batch_id

),

miscounted as (

    select
        lead_batches.batch_id,
        lead_batches.batch_state,
        lead_batches.person_count,
        coalesce(claimed.claim_count, 0) as claim_count
    from lead_batches
    left join claimed
        on lead_batches.batch_id = claimed.batch_id
    where
        lead_batches.run_id in (select unchecked_runs.run_id from unchecked_runs)
        and lead_batches.batch_state <> 'completed'
        and lead_batches.person_count <> coalesce(claimed.claim_count, 0)

)

select * from miscounted
