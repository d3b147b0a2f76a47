-- A run has more outcomes than persons read.
with

decided as (

    select
        run_id,
        count(*) as outcome_count
    from person_outcomes
    where run_id in (select unchecked_runs.run_id from unchecked_runs)
    group by run_id

),

disagreeing as (

    select
        sync_runs.run_id,
        sync_runs.read_count,
        sync_runs.open_count,
        decided.outcome_count
    from sync_runs
    inner join decided
        on sync_runs.run_id = decided.run_id
    where decided.outcome_count > sync_runs.read_count - sync_runs.open_count

)

select * from disagreeing
