-- A run counts other persons in its open batches than these hold, or made more than they made.
with

unchecked as (

    select run_id from sync_runs
    where checked_revision is null or checked_revision <> revision

    union

    select cast(:run_id as text) as run_id

),

carried as (

    select
        run_id,
        sum(person_count) as open_count,
        sum(created_count + updated_count + held_count) as made_count
    from lead_batches
    where run_id in (select unchecked.run_id from unchecked)
    group by run_id

),

resolved as (

    -- Held persons whose lead was named or found: no batch of this run made it.
    select
        run_id,
        count(*) as made_count
    from resolutions
    where
        run_id in (select unchecked.run_id from unchecked)
        and resolved_as = 'created'
    group by run_id

),

compared as (

    select
        sync_runs.run_id,
        sync_runs.open_count,
        coalesce(carried.open_count, 0) as batch_open_count,
        sync_runs.created_count + sync_runs.updated_count + sync_runs.held_count as made_count,
        coalesce(carried.made_count, 0) as batch_made_count,
        coalesce(resolved.made_count, 0) as resolved_count
    from sync_runs
    left join carried
        on sync_runs.run_id = carried.run_id
    left join resolved
        on sync_runs.run_id = resolved.run_id
    where
        sync_runs.run_id in (select unchecked.run_id from unchecked)
        and sync_runs.run_mode <> 'plan'

),

disagreeing as (

    select * from compared
    where
        open_count <> batch_open_count
        or made_count > batch_made_count + resolved_count

)

select * from disagreeing
