-- An open batch has to account for another number of persons than it holds.
with

held as (

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
        coalesce(held.claim_count, 0) as claim_count
    from lead_batches
    left join held
        on lead_batches.batch_id = held.batch_id
    where
        lead_batches.batch_state <> 'settled'
        and lead_batches.person_count <> coalesce(held.claim_count, 0)

)

select * from miscounted
