-- The latest runs, newest first, or the one run that is named.
select
    run_id,
    flow_run_id,
    org_id,
    run_mode,
    run_state,
    owner_default,
    lookup_method,
    code_version,
    settings_hash,
    error_code,
    error_message,
    read_count,
    created_count,
    updated_count,
    duplicate_count,
    rejected_count,
    held_count,
    open_count,
    listed_count,
    taken_count,
    unread_count,
    api_call_count,
    matching_call_count,
    matching_record_count,
    matching_seconds,
    started_at,
    finished_at
from sync_runs
where
    cast(:run_id as text) is null
    or run_id = :run_id
order by started_at desc, run_id desc
limit :most
