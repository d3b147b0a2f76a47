-- A run has read another number of persons than became of them: the conservation law.
with

unchecked as (

    select run_id from sync_runs
    where checked_revision is null or checked_revision <> revision

    union

    select cast(:run_id as text) as run_id

),

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
        run_id in (select unchecked.run_id from unchecked)
        and read_count
        <> created_count
        + updated_count
        + duplicate_count
        + rejected_count
        + held_count
        + open_count

)

select * from miscounted
