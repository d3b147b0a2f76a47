-- Adds to what a run has counted; the conservation law holds before and after.
update sync_runs
set
    read_count = read_count + :read_count,
    created_count = created_count + :created_count,
    updated_count = updated_count + :updated_count,
    duplicate_count = duplicate_count + :duplicate_count,
    rejected_count = rejected_count + :rejected_count,
    held_count = held_count + :held_count,
    open_count = open_count + :open_count,
    change_count = change_count + 1
where run_id = :run_id
