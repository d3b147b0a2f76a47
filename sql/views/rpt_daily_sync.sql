-- One row a UTC day and run mode.
-- started_date: the UTC day the runs started
-- run_count: runs started
-- unfinished_run_count: of them: failed, out of time or still running
-- open_count: persons that were still in an open batch when their run ended
-- rejected_share: rejected persons among those read, 0 to 1; null when no person was read
with

runs as (

    select * from dim_sync_runs

),

daily as (

    select
        ---------- ids
        started_date,
        run_mode,

        ---------- measures
        count(*) as run_count,
        count(*) filter (where run_state <> 'finished') as unfinished_run_count,
        cast(sum(read_count) as bigint) as read_count,
        cast(sum(created_count) as bigint) as created_count,
        cast(sum(updated_count) as bigint) as updated_count,
        cast(sum(duplicate_count) as bigint) as duplicate_count,
        cast(sum(rejected_count) as bigint) as rejected_count,
        cast(sum(held_count) as bigint) as held_count,
        cast(sum(open_count) as bigint) as open_count,
        cast(sum(api_call_count) as bigint) as api_call_count,
        1.0 * sum(rejected_count) / nullif(sum(read_count), 0) as rejected_share
    from runs
    group by started_date, run_mode

)

select * from daily
