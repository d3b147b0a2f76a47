-- What a run has counted so far.
select
    read_count,
    created_count,
    updated_count,
    duplicate_count,
    rejected_count,
    held_count,
    open_count,
    api_call_count

from sync_runs

where run_id = :run_id
