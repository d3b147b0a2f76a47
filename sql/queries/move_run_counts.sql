-- Adds to what a run has counted; the conservation law holds before and after. Whoever a finished run lets go of again is unread.
update sync_runs
set
    read_count = read_count + :read_count,
    created_count = created_count + :created_count,
    updated_count = updated_count + :updated_count,
    duplicate_count = duplicate_count + :duplicate_count,
    rejected_count = rejected_count + :rejected_count,
    held_count = held_count + :held_count,
    open_count = open_count + :open_count,
    unread_count = unread_count
    + case when listed_count is not null and :read_count < 0 then -:read_count else 0 end,
    revision = revision + 1
where run_id = :run_id
