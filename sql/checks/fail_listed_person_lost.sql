-- A run listed more persons than it read, left to other runs, or counted as unread.
with

losing_persons as (

    select
        run_id,
        listed_count,
        read_count,
        taken_count,
        unread_count
    from sync_runs
    where
        run_id in (select unchecked_runs.run_id from unchecked_runs)
        and listed_count > read_count + taken_count + unread_count

)

select * from losing_persons
