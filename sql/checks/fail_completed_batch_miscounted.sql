-- A completed batch still has persons to account for, or has more outcomes than it counted.
with

outcomes as (

    select
        batch_id,
        count(*) as outcome_count
    from person_outcomes
    where
        run_id in (select unchecked_runs.run_id from unchecked_runs)
        and batch_id is not null
    group by batch_id

),

completed as (

    select
        lead_batches.batch_id,
        lead_batches.person_count,
        lead_batches.created_count
        + lead_batches.updated_count
        + lead_batches.duplicate_count
        + lead_batches.rejected_count
        + lead_batches.held_count as counted_count,
        coalesce(outcomes.outcome_count, 0) as outcome_count
    from lead_batches
    left join outcomes
        on lead_batches.batch_id = outcomes.batch_id
    where
        lead_batches.run_id in (select unchecked_runs.run_id from unchecked_runs)
        and lead_batches.batch_state = 'completed'

),

miscounted as (

    -- Fewer outcomes are correct: a later run may have decided a person again.
    select * from completed
    where
        person_count <> 0
        or outcome_count > counted_count

)

select * from miscounted
