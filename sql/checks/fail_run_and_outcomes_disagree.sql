-- A run has the latest word on more persons than it has read.
with

unchecked as (

    select run_id from sync_runs
    where checked_revision is null or checked_revision <> revision

    union

    select cast(:run_id as text) as run_id

),

decided as (

    select
        run_id,
        count(*) as outcome_count
    from person_outcomes
    where run_id in (select unchecked.run_id from unchecked)
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
