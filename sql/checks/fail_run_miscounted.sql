-- A run has read another number of persons than became of them: the conservation law.
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
    read_count
    <> created_count
    + updated_count
    + duplicate_count
    + rejected_count
    + held_count
    + open_count
