-- An open batch has to account for another number of persons than it holds.
with

unchecked as (

    select run_id from sync_runs
    where checked_revision is null or checked_revision <> revision

    union

    select cast(:run_id as text) as run_id

),

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
        lead_batches.run_id in (select unchecked.run_id from unchecked)
        and lead_batches.batch_state <> 'completed'
        and lead_batches.person_count <> coalesce(held.claim_count, 0)

)

select * from miscounted
