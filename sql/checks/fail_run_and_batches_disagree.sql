-- A run counts other open persons than its batches, or more created, updated and held ones.
with

in_batches as (

    select
        run_id,
        sum(person_count) as open_count,
        sum(created_count + updated_count + held_count) as written_count
    from lead_batches
    where run_id in (select unchecked_runs.run_id from unchecked_runs)
    group by run_id

),

resolved as (

    -- Held persons whose lead was named or found: no batch of this run created it.
    select
        run_id,
        count(*) as written_count
    from resolutions
    where
        run_id in (select unchecked_runs.run_id from unchecked_runs)
        and resolved_as = 'created'
    group by run_id

),

compared as (

    select
        sync_runs.run_id,
        sync_runs.open_count,
        coalesce(in_batches.open_count, 0) as batch_open_count,
        sync_runs.created_count + sync_runs.updated_count + sync_runs.held_count as written_count,
        coalesce(in_batches.written_count, 0) as batch_written_count,
        coalesce(resolved.written_count, 0) as resolved_count
    from sync_runs
    left join in_batches
        on sync_runs.run_id = in_batches.run_id
    left join resolved
        on sync_runs.run_id = resolved.run_id
    where
        sync_runs.run_id in (select unchecked_runs.run_id from unchecked_runs)
        and sync_runs.run_mode <> 'plan'

),

disagreeing as (

    select * from compared
    where
        open_count <> batch_open_count
        or written_count > batch_written_count + resolved_count

)

select * from disagreeing
