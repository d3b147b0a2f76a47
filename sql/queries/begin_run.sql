-- Writes down that a run has begun, and in what process.
insert into sync_runs (
    run_id,
    flow_run_id,
    run_mode,
    owner_default,
    process_host,
    process_id,
    started_at,
    code_version,
    settings_hash
) values (
    :run_id,
    :flow_run_id,
    :run_mode,
    :owner_default,
    :process_host,
    :process_id,
    :now,
    :code_version,
    :settings_hash
)
