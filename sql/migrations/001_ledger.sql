-- The ledger: which org we serve, which runs there were, which persons are in flight and in what job.
-- Every table and column is explained where it is made; the migrator hands the words to the catalogue.

-- One row, once the first run has logged in: the org this ledger belongs to.
create table sync_orgs (
    org_id text not null primary key, -- Organization.Id, 18 characters; another org at login stops the run
    org_name text not null, -- Organization.Name as it was at first sight
    is_sandbox boolean not null, -- Organization.IsSandbox as it was at first sight
    first_seen_at timestamp not null -- UTC
);

-- One row an execution of a flow or command that reads or carries persons.
create table sync_runs (
    run_id text not null primary key, -- minted at the start
    flow_run_id text, -- Prefect's id of the flow run; null when run without Prefect
    run_mode text not null -- what was asked for
    check (run_mode in ('live', 'plan', 'now', 'retry', 'resume', 'undo')),
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

create index sync_runs_by_start on sync_runs (started_at);

-- One row a run and person it has set out to read; emptied when the run ends.
create table run_persons (
    run_id text not null, -- the run that reads
    position integer not null, -- 1 is read first: earliest created_at, then smallest person_id
    person_id text not null, -- the warehouse's own key, as text; empty for rows without one
    primary key (run_id, position)
);

-- One row a batch: persons of one operation that travel together, and how far they are.
create table lead_batches (
    batch_id text not null primary key, -- minted when planned
    run_id text not null, -- the run that planned it
    batch_state text not null default 'pending' -- how far: only closing can have made records
    check (batch_state in ('pending', 'uploading', 'submitted', 'completed')),
    owner_strategy text not null, -- the strategy, or owner_given where users and queues share a job
    operation text not null -- what Salesforce is asked to do
    check (operation in ('insert', 'update')),
    sobject text not null default 'Lead' -- with what kind of record
    check (sobject in ('Lead', 'Contact')),
    load_api text not null -- by Bulk API 2.0 or by sObject collections
    check (load_api in ('bulk', 'collections')),
    assignment_rule_id text, -- Salesforce's assignment rule for the whole batch; null when owners are given
    allow_duplicates boolean not null default false, -- a lead is made on purpose beside a contact (allowSave)
    salesforce_job_id text unique, -- the job that carries it now; null until opened, and for collections
    attempt_count integer not null default 1, -- how many times it set out
    person_count integer not null, -- persons it still has to account for
    payload_sha256 text, -- of the bytes uploaded last; the bytes themselves are never kept
    payload_bytes bigint, -- how many they were
    fencing_token integer not null default 1, -- goes up with every take-over; a writer with an older one changes nothing
    leased_by_run_id text not null, -- the run that carries it now
    lease_until timestamp not null, -- UTC by the database's clock; afterwards anybody may take it over
    planned_at timestamp not null, -- UTC
    opened_at timestamp, -- UTC; when the present job was recorded
    submitted_at timestamp, -- UTC; when the intent to start was recorded: from here on records may exist
    completed_at timestamp, -- UTC; when every person had an outcome
    created_count integer not null default 0, -- outcomes so far
    updated_count integer not null default 0, -- outcomes so far
    duplicate_count integer not null default 0, -- outcomes so far
    rejected_count integer not null default 0, -- outcomes so far
    held_count integer not null default 0 -- outcomes so far
);

create index lead_batches_by_state on lead_batches (batch_state, lease_until);
create index lead_batches_by_run on lead_batches (run_id);

-- One row a Bulk API 2.0 job we ever opened; never deleted, so that no job is a stranger.
create table salesforce_jobs (
    salesforce_job_id text not null primary key, -- Salesforce's id of the job
    batch_id text not null, -- the batch it carried
    attempt integer not null, -- which attempt of the batch
    opened_at timestamp not null, -- UTC
    end_state text, -- JobComplete, Failed, Aborted or Gone; null while open
    processed_count integer, -- numberRecordsProcessed, failures included
    failed_count integer -- numberRecordsFailed
);

create index salesforce_jobs_by_batch on salesforce_jobs (batch_id);

-- One row a person in flight; its primary key is what keeps two runs from sending one person.
create table person_claims (
    person_id text not null primary key, -- the warehouse's own key, as text
    batch_id text not null, -- the open batch that holds the person
    run_id text not null, -- the run that claimed
    claimed_at timestamp not null, -- UTC
    owner_strategy text not null, -- the strategy that decided
    owner_id text, -- the owner to be; null when an assignment rule chooses
    lead_id text, -- the lead to update; null for an insert
    contact_id text, -- the contact to update, or beside which a lead is made
    row_hash text not null, -- of the row to be sent: changed source rows are noticed, results find their person
    defaulted_fields text, -- Lead fields filled from defaults, comma-separated; null for none
    reason_code text, -- what the outcome should mention; null for nothing
    attempt_count integer not null, -- times this person has been decided, this time included
    source_changed_at timestamp, -- UTC; the person's updated_at when read
    source_version text, -- the same, as the warehouse spells it
    email_hash text -- hash of the e-mail this person holds; null without e-mail
);

create index person_claims_by_batch on person_claims (batch_id);

-- One row an e-mail address: the person who holds it, so that no two persons with it are ever sent.
create table person_emails (
    email_hash text not null primary key, -- sha256 of the e-mail, lower-cased and trimmed
    person_id text not null, -- who holds it
    run_id text not null, -- the run in which it was taken
    claimed_at timestamp not null -- UTC
);

create index person_emails_by_person on person_emails (person_id);
