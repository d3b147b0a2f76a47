-- Here instead of the file beside: SQLite cannot change a check, so the table is made anew.

create temporary table kept_runs as
select * from sync_runs;

drop table sync_runs;

-- One row an execution of a flow or command that reads or carries persons.
create table sync_runs (
    run_id text not null primary key, -- minted at the start
    flow_run_id text, -- Prefect's id of the flow run; null when run without Prefect
    run_mode text not null -- what was asked for
    check (run_mode in ('live', 'plan', 'now', 'retry', 'resume', 'undo', 'resolve')),
    run_state text not null default 'running' -- where it stands
    check (run_state in ('running', 'finished', 'failed', 'deadline')),
    org_id text, -- the org it spoke to; null until it has logged in
    owner_default text, -- the owner strategy that decides when nothing else does
    process_host text not null, -- the machine of the process
    process_id integer not null, -- the process on that machine
    started_at timestamp not null, -- UTC
    finished_at timestamp, -- UTC; null while running
    read_count integer not null default 0, -- persons read and judged
    created_count integer not null default 0, -- of them: a lead was created
    updated_count integer not null default 0, -- of them: a known lead or contact was updated
    duplicate_count integer not null default 0, -- of them: already known, left alone
    rejected_count integer not null default 0, -- of them: broke a rule, ours or Salesforce's
    held_count integer not null default 0, -- of them: nobody can know without a human
    open_count integer not null default 0, -- of them: still in an open batch
    api_call_count integer not null default 0, -- requests sent to Salesforce
    lookup_method text, -- how known records were looked up: soql or snapshot
    code_version text not null, -- the version of Person Sync
    settings_hash text not null, -- sha256 of the settings without secrets
    error_code text, -- the kind of error that ended it; null unless failed
    error_message text -- its sentence; never personal data
);

insert into sync_runs
select * from kept_runs;

drop table kept_runs;

create index sync_runs_by_start on sync_runs (started_at);
