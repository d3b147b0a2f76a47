-- A run had set out to read more persons than it has read, left to other runs, or counted as unread.
with

unchecked as (

    select run_id from sync_runs
    where checked_revision is null or checked_revision <> revision

    union

    select cast(:run_id as text) as run_id

),

losing as (

    select
        run_id,
        listed_count,
        read_count,
        taken_count,
        unread_count
    from sync_runs
    where
        run_id in (select unchecked.run_id from unchecked)
        and listed_count > read_count + taken_count + unread_count

)

select * from losing
