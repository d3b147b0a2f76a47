-- A run has read a different number of persons than it has decided: the conservation law.
with

miscounted as (

    select
        run_id,
        read_count,
        created_count,
        updated_count,
        duplicate_count,
        rejected_count,
        held_count,
        open_count
    from sync_runs
    where
        run_id in (select unchecked_runs.run_id from unchecked_runs)
        and read_count
        <> created_count
        + updated_count
        + duplicate_count
        + rejected_count
        + held_count
        + open_count

)

select * from miscounted
