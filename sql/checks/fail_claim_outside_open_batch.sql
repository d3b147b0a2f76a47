-- A person is in flight, and no open batch carries them.
with

unchecked as (

    select run_id from sync_runs
    where checked_revision is null or checked_revision <> revision

    union

    select cast(:run_id as text) as run_id

),

adrift as (

    select
        person_claims.person_id,
        person_claims.batch_id,
        lead_batches.batch_state
    from person_claims
    left join lead_batches
        on person_claims.batch_id = lead_batches.batch_id
    where
        person_claims.run_id in (select unchecked.run_id from unchecked)
        and (lead_batches.batch_id is null or lead_batches.batch_state = 'completed')

)

select * from adrift
