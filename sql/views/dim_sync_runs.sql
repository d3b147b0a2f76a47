-- One row a run.
-- error_code: the kind of error that ended it; NONE unless failed
-- lookup_method: how existing records were looked up: soql, snapshot, or mixed where bulk queries failed during the run; NONE when nothing was
-- is_finished: whether it completed normally
-- started_date: the UTC day it started
select
    ---------- ids
    run_id,
    flow_run_id,
    org_id,

    ---------- attributes
    run_mode,
    run_state,
    owner_default,
    coalesce(lookup_method, 'NONE') as lookup_method,
    code_version,
    settings_hash,
    coalesce(error_code, 'NONE') as error_code,
    run_state = 'finished' as is_finished,

    ---------- measures
    read_count,
    created_count,
    updated_count,
    duplicate_count,
    rejected_count,
    held_count,
    open_count,
    api_call_count,

    ---------- dates
    date(started_at) as started_date,
    started_at,
    finished_at,

    ---------- measures of the lookups
    lookup_call_count,
    lookup_record_count,
    lookup_seconds,

    ---------- measures of the list
    listed_count,
    taken_count,
    unread_count
from sync_runs
