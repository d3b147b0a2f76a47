-- Writes down that a run has begun, and in what process.
insert into sync_runs (
    run_id,
    flow_run_id,
    run_mode,
    owner_default,
    holder_host,
    holder_pid,
    started_at,
    code_version,
    settings_hash
) values (
    :run_id,
    :flow_run_id,
    :run_mode,
    :owner_default,
    :holder_host,
    :holder_pid,
    :now,
    :code_version,
    :settings_hash
)
