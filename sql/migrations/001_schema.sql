-- All tables of Person Sync. Each table and column has its explanation here; the migrator copies it to the catalogue.
-- No table references another: DuckDB does not update a row that is referenced, so a batch could never move.
-- All instants are UTC, and come from the database's clock unless the column says otherwise.

-- ===== What has been applied

-- One row a migration applied, and one each for the views and the rejection rules as last written.
create table schema_versions (
    version text not null primary key, -- the number of the migration's file, or views, or rules
    file_name text not null, -- the file, or the folder, in sql
    checksum text not null, -- sha256 of what was applied; a migration that was applied may not change
    applied_at timestamp not null -- UTC
);

-- ===== Runs: running → finished, failed or deadline

-- One row, from the first login on: the org this ledger belongs to.
create table sync_orgs (
    org_id text not null primary key, -- Organization.Id, 18 characters; a login to another org stops the run
    org_name text not null, -- Organization.Name at the first login
    is_sandbox boolean not null, -- Organization.IsSandbox at the first login
    first_seen_at timestamp not null -- UTC
);

-- One row an execution of a flow or command that syncs persons.
create table sync_runs (
    run_id text not null primary key, -- made at the start
    flow_run_id text, -- Prefect's id of the flow run; null when run without Prefect
    run_mode text not null -- what was asked for
    check (run_mode in ('live', 'plan', 'now', 'retry', 'resume', 'undo', 'resolve')),
    run_state text not null default 'running' -- how far the run is
    check (run_state in ('running', 'finished', 'failed', 'deadline')),
    org_id text, -- the org it logged in to; null before the login
    owner_default text, -- the owner strategy for persons that no choice and no strategy of their own decides
    process_host text not null, -- the machine of the process
    process_id integer not null, -- the process id on that machine
    started_at timestamp not null, -- UTC
    finished_at timestamp, -- UTC; null while running
    read_count integer not null default 0, -- persons read and decided: the sum of the six counts below
    created_count integer not null default 0, -- of them: a lead was created
    updated_count integer not null default 0, -- of them: an existing lead or contact was updated
    duplicate_count integer not null default 0, -- of them: already known, nothing written
    rejected_count integer not null default 0, -- of them: broke a rule, ours or Salesforce's
    held_count integer not null default 0, -- of them: only a human can find out what happened
    open_count integer not null default 0, -- of them: still in an open batch
    listed_count integer, -- persons it set out to read; null until counted at its end
    taken_count integer not null default 0, -- of the listed: claimed or decided by another run
    unread_count integer not null default 0, -- of the listed: rows changed or deleted before they were sent; still new
    api_call_count integer not null default 0, -- requests sent to Salesforce
    lookup_method text, -- how existing records were looked up: soql, snapshot or mixed
    lookup_call_count integer not null default 0, -- requests sent to look up existing records
    lookup_record_count integer not null default 0, -- existing records that Salesforce returned to them
    lookup_seconds integer not null default 0, -- time the lookups took, of all workers together
    code_version text not null, -- the version of Person Sync
    settings_hash text not null, -- sha256 of the settings without secrets
    error_code text, -- the kind of error that ended it; null unless failed
    error_message text, -- the message of that error; never personal data
    claimed_position integer not null default 0, -- slices up to here are claimed by its workers
    committed_position integer not null default 0, -- slices up to here are recorded, in the order of their positions
    stopped_at timestamp, -- UTC; when one of its workers failed, so that the others stop; null before
    revision integer not null default 0, -- how often its counts have changed
    checked_revision integer -- the revision that sql/checks last read; null before
);

create index sync_runs_by_start on sync_runs (started_at);

-- One row a run and person on its list; deleted when the run ends.
create table run_persons (
    run_id text not null, -- the run that reads
    position integer not null, -- 1 is read first: earliest created_at, then smallest person_id
    person_id text not null, -- the warehouse's own key, as text; empty for rows without one
    attempt_count integer not null default 0, -- decisions on the person when listed; a higher count is a later decision
    primary key (run_id, position)
);

-- ===== Batches: pending → uploading → submitted → completed; uploading and submitted may return to pending

-- One row a batch: persons of one operation that are sent together.
create table lead_batches (
    batch_id text not null primary key, -- made when the batch is planned
    run_id text not null, -- the run that planned it
    batch_state text not null default 'pending' -- how far the batch is; only a submitted one can have made records
    check (batch_state in ('pending', 'uploading', 'submitted', 'completed')),
    owner_strategy text not null, -- the strategy, or owner_given where users and queues share a job
    operation text not null -- what Salesforce is asked to do
    check (operation in ('insert', 'update')),
    sobject text not null default 'Lead' -- the object that is written
    check (sobject in ('Lead', 'Contact')),
    load_api text not null -- Bulk API 2.0 or sObject collections
    check (load_api in ('bulk', 'collections')),
    assignment_rule_id text, -- Salesforce's assignment rule for the whole batch; null when owners are given
    allow_duplicates boolean not null default false, -- whether a lead is created although a contact exists (allowSave)
    salesforce_job_id text unique, -- the present job; null before the upload, and for collections
    attempt_count integer not null default 1, -- how often it was sent or is being sent
    person_count integer not null, -- persons without an outcome yet
    payload_sha256 text, -- of the bytes uploaded last; the bytes themselves are not kept
    payload_bytes bigint, -- size of the bytes uploaded last
    fencing_token integer not null default 1, -- raised by each take-over; a run with a lower token can change nothing
    leased_by_run_id text not null, -- the run that works on it
    lease_until timestamp not null, -- UTC; afterwards another run may take the batch over
    planned_at timestamp not null, -- UTC
    opened_at timestamp, -- UTC; when the present job was recorded
    submitted_at timestamp, -- UTC; when the intent to start was recorded: from then on records may exist
    completed_at timestamp, -- UTC; when every person had an outcome or was released
    created_count integer not null default 0, -- outcomes so far
    updated_count integer not null default 0, -- outcomes so far
    duplicate_count integer not null default 0, -- outcomes so far
    rejected_count integer not null default 0, -- outcomes so far
    held_count integer not null default 0 -- outcomes so far
);

create index lead_batches_by_state on lead_batches (batch_state, lease_until);
create index lead_batches_by_run on lead_batches (run_id);

-- One row a Bulk API 2.0 job in the ledger; never deleted, so that every job of ours is known.
create table salesforce_jobs (
    salesforce_job_id text not null primary key, -- Salesforce's id of the job
    batch_id text not null, -- the batch it was created for; NONE for a job that this ledger did not create
    attempt integer not null, -- which attempt of the batch; 0 for a job that this ledger did not create
    opened_at timestamp not null, -- UTC
    end_state text, -- JobComplete, Failed, Aborted or Gone; null while open
    processed_count integer, -- numberRecordsProcessed, failures included
    failed_count integer -- numberRecordsFailed
);

create index salesforce_jobs_by_batch on salesforce_jobs (batch_id);

-- ===== Claims: a person is in at most one open batch, an e-mail belongs to at most one person

-- One row a person in an open batch; the primary key keeps two runs from sending the same person.
create table person_claims (
    person_id text not null primary key, -- the warehouse's own key, as text
    batch_id text not null, -- the open batch that contains the person
    run_id text not null, -- the run that claimed
    claimed_at timestamp not null, -- UTC
    owner_strategy text not null, -- the strategy that decided
    owner_id text, -- the future owner; null when an assignment rule decides
    lead_id text, -- the lead to update; null for an insert
    contact_id text, -- the contact to update, or for which a lead is created on purpose
    row_hash text not null, -- of the row to be sent: shows a changed source row, and matches results without a key
    defaulted_fields text, -- Lead fields filled from defaults, comma-separated; null for none
    reason_code text, -- reason for the outcome to record; null for none
    attempt_count integer not null, -- decisions on this person, this one included
    source_changed_at timestamp, -- UTC; the person's updated_at when read
    source_version text, -- the same as text, as the warehouse formats it
    email_hash text -- hash of the e-mail that this person has claimed; null without e-mail
);

create index person_claims_by_batch on person_claims (batch_id);

-- One row an e-mail address and the person that has claimed it: no two persons with it are ever sent.
create table person_emails (
    email_hash text not null primary key, -- sha256 of the e-mail, lower-cased and trimmed
    person_id text not null, -- the person that has claimed it
    run_id text not null, -- the run that recorded the claim
    claimed_at timestamp not null -- UTC
);

create index person_emails_by_person on person_emails (person_id);

-- ===== Results: what became of each person, and why

-- One row a person: the latest outcome.
create table person_outcomes (
    person_id text not null primary key, -- the warehouse's own key, as text
    outcome text not null -- what became of the person
    check (outcome in ('created', 'updated', 'duplicate', 'rejected', 'held')),
    run_id text not null, -- the run that read the person
    batch_id text, -- the batch of the person; null when none was needed
    lead_id text, -- the lead created, updated or already there
    contact_id text, -- the contact already there
    owner_strategy text, -- the strategy that decided who owns the lead
    owner_id text, -- the owner that Salesforce assigned, read back
    owner_name text, -- the owner's name
    owner_type text -- what kind of owner
    check (owner_type in ('user', 'queue')),
    reason_code text, -- why, as a code; null when there is nothing to add
    defaulted_fields text, -- Lead fields filled from defaults, comma-separated; null for none
    attempt_count integer not null, -- decisions on this person, this one included
    source_changed_at timestamp, -- UTC; the person's updated_at when read
    source_version text, -- the same as text; a rejected person is new again when it changes
    decided_at timestamp not null -- UTC
);

create index person_outcomes_by_run on person_outcomes (run_id);
create index person_outcomes_by_lead on person_outcomes (lead_id);

-- Only the held ones are ever selected by outcome. An index over all outcomes had five values for
-- all persons, and made each insert slower.
create index person_outcomes_held on person_outcomes (person_id)
where outcome = 'held';

-- One row a run, person and rule broken: all of them, not only the first.
create table rejected_persons (
    run_id text not null, -- the run that read the person
    person_id text not null, -- the warehouse's own key, as text; empty for rows without one
    rule_name text not null, -- see rejection_rules; at stage salesforce its status code
    stage text not null -- which check rejected the person
    check (stage in ('validation', 'owner', 'salesforce')),
    field_name text, -- the persons column or Lead field, several comma-separated; null when it is about no field
    observed_value text, -- the value found there, shortened: personal data
    message text not null, -- the explanation for a steward
    is_retryable boolean not null, -- whether the unchanged person may succeed later
    rejected_at timestamp not null, -- UTC
    primary key (run_id, person_id, rule_name)
);

create index rejected_persons_by_person on rejected_persons (person_id);

-- One row a run, person and record matched.
create table duplicate_persons (
    run_id text not null, -- the run that read the person
    person_id text not null, -- the warehouse's own key, as text
    matched_in text not null -- where the person was already known
    check (
        matched_in in (
            'persons', 'ledger', 'lead', 'converted_lead', 'contact', 'deleted', 'salesforce_rule'
        )
    ),
    matched_id text not null, -- the record or person matched; empty when Salesforce does not return it
    match_key text not null, -- what matched: email, person_id or the duplicate rule
    matched_count integer not null, -- how many records matched in all
    is_ambiguous boolean not null, -- more than one record of a kind: which one is meant cannot be decided
    action_taken text not null -- what was done about it
    check (action_taken in ('reported', 'updated', 'duplicate_lead_created', 'recreated')),
    found_at timestamp not null, -- UTC
    primary key (run_id, person_id, matched_in, matched_id)
);

create index duplicate_persons_by_person on duplicate_persons (person_id);

-- One row a rule that a person can break.
create table rejection_rules (
    rule_name text not null primary key, -- stable: reports and alerts may rely on it
    stage text not null -- which check rejects the person
    check (stage in ('validation', 'owner', 'salesforce')),
    field_name text, -- the persons column it is about; null when it is about several
    description text not null, -- what is wrong, for a steward
    remedy text not null -- what to do about it
);

-- One row a plan run and person: what a live run would do.
create table planned_persons (
    run_id text not null, -- the plan run
    person_id text not null, -- the warehouse's own key, as text
    decision text not null -- what a live run would do
    check (decision in ('create', 'update', 'duplicate', 'reject')),
    owner_strategy text, -- the strategy that would decide
    owner_name text, -- the future owner; null when an assignment rule decides
    matched_id text, -- the record already known
    reason_code text, -- why, as a code
    primary key (run_id, person_id)
);

-- One row a decision on a held person, by a human or by a run that found the lead.
create table resolutions (
    run_id text not null, -- the run that recorded it
    person_id text not null, -- the warehouse's own key, as text
    resolved_as text not null -- what was decided: the lead exists, send again, or no lead at all
    check (resolved_as in ('created', 'resend', 'rejected')),
    is_automatic boolean not null, -- whether a run found the lead by the person-id field
    resolved_by text, -- the human who decided; null when it was a run
    note text, -- the human's reason: may contain personal data
    lead_id text, -- the lead that was named or found; null unless created
    held_run_id text not null, -- the run that recorded the person as held
    batch_id text, -- the batch of the person
    held_reason text not null, -- why the person was held: JOB_GONE, RESULT_MISSING or RESPONSE_LOST
    resolved_at timestamp not null, -- UTC
    primary key (run_id, person_id)
);

create index resolutions_by_person on resolutions (person_id);

-- ===== Snapshots: incomplete → complete. Nothing here is a result; all of it can be read from Salesforce again

-- One row a copy of the org's leads and contacts; persons are matched against the newest complete one.
create table org_snapshots (
    snapshot_number integer not null primary key, -- a random number, made when the first read began
    org_id text not null, -- the org that was read
    person_id_field text not null, -- the Lead field read as person id; empty for none
    is_complete boolean not null, -- whether all records have arrived; before that it is not used for matching
    lead_watermark timestamp, -- UTC by the org's clock; the SystemModstamp up to which leads are complete
    contact_watermark timestamp, -- UTC by the org's clock; the SystemModstamp up to which contacts are complete
    record_count integer not null, -- records in it, deleted ones included
    lease_id text, -- proof of the worker that may write it, new for each lease; null without a lease
    leased_by_run_id text, -- the run of that worker; null without a lease
    lease_until timestamp, -- UTC; afterwards another run may write it
    started_at timestamp not null, -- UTC
    refreshed_at timestamp -- UTC; when Salesforce was last asked what has changed
);

-- One row a snapshot and lead or contact, deleted ones included.
create table org_records (
    position integer not null primary key, -- in the order of arrival, over all snapshots
    snapshot_number integer not null, -- the snapshot it belongs to; records of a deleted snapshot are deleted later
    record_id text not null, -- Salesforce's id
    sobject text not null, -- Lead or Contact
    email_hash text, -- sha256 of its e-mail, lower-cased and trimmed; null without e-mail
    email_number bigint, -- the first 60 bits of email_hash, as in org_record_keys
    person_id text, -- the lead's value of the person-id field
    person_number bigint, -- the first 60 bits of the sha256 of person_id, inverted, so that it is negative
    is_converted boolean not null, -- whether the lead has become a contact
    is_deleted boolean not null, -- whether it is in the recycle bin
    converted_contact_id text, -- the contact that a converted lead became
    created_at timestamp not null, -- UTC; its CreatedDate
    owner_id text -- its owner
);

-- One row a key of a record: its e-mail, and for leads the person id. A table of its own, written in the order of the
-- keys, because an index on org_records takes longer to maintain than everything else in a read.
create table org_record_keys (
    snapshot_number integer not null, -- the snapshot the record belongs to
    key_number bigint not null, -- email_number or person_number of the record; different keys may share a number
    position integer not null, -- the record
    primary key (snapshot_number, key_number, position)
);
