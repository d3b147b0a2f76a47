-- Batches: pending → uploading → submitted → completed; uploading and submitted may return to pending.
-- Every update compares the state, the fencing token and the run that it expects. When another run has taken the
-- batch over, the update changes no row and the caller stops. Only a submitted batch can have made records.

-- name: insert_batch
-- Insert a batch with the number of persons it has really claimed; no row when it has claimed none.
insert into lead_batches (
    batch_id,
    run_id,
    owner_strategy,
    operation,
    sobject,
    load_api,
    assignment_rule_id,
    allow_duplicates,
    person_count,
    leased_by_run_id,
    lease_until,
    planned_at
)
select
    :batch_id,
    :run_id,
    :owner_strategy,
    :operation,
    :sobject,
    :load_api,
    :assignment_rule_id,
    :allow_duplicates,
    claimed.person_count,
    :run_id,
    :lease_until,
    :now

from (
    select count(*) as person_count
    from person_claims
    where batch_id = :batch_id
) as claimed

where claimed.person_count > 0

returning *;

-- name: read_batch
-- Return a batch.
select * from lead_batches
where batch_id = :batch_id;

-- name: open_batches
-- List the batches that still contain persons, with the run that has the lease and whether the lease is over.
select
    lead_batches.batch_id,
    lead_batches.run_id,
    lead_batches.leased_by_run_id,
    lead_batches.salesforce_job_id,

    lead_batches.batch_state,
    lead_batches.owner_strategy,
    lead_batches.operation,
    lead_batches.sobject,
    lead_batches.load_api,
    sync_runs.run_state as leased_by_state,
    sync_runs.process_host,
    sync_runs.process_id,
    lead_batches.lease_until <= :now as is_lease_over,

    lead_batches.fencing_token,
    lead_batches.attempt_count,
    lead_batches.person_count,

    lead_batches.planned_at,
    lead_batches.opened_at,
    lead_batches.submitted_at,
    lead_batches.lease_until

from lead_batches

left join sync_runs on lead_batches.leased_by_run_id = sync_runs.run_id

where lead_batches.batch_state <> 'completed'

order by lead_batches.planned_at, lead_batches.batch_id;

-- name: batch_claims
-- List the persons of a batch with what is needed to match their results.
select
    person_id,
    lead_id,
    contact_id,
    row_hash,
    reason_code

from person_claims

where batch_id = :batch_id;

-- name: renew_lease
-- Extend the lease of a batch.
update lead_batches
set lease_until = :lease_until
where
    batch_id = :batch_id
    and fencing_token = :fencing_token
    and leased_by_run_id = :leased_by_run_id
    and batch_state = :seen_state
returning *;

-- name: take_over_batch
-- Take a batch over, if its lease was not renewed since it was read. The higher fencing token shuts out the old run.
update lead_batches
set
    fencing_token = fencing_token + 1,
    leased_by_run_id = :run_id,
    lease_until = :lease_until
where
    batch_id = :batch_id
    and fencing_token = :fencing_token
    and lease_until = :seen_lease_until
    and batch_state <> 'completed'
returning *;

-- name: start_upload
-- pending → uploading: record the job before it gets data. A job whose id is lost then never had data.
update lead_batches
set
    batch_state = 'uploading',
    salesforce_job_id = :salesforce_job_id,
    payload_sha256 = :payload_sha256,
    payload_bytes = :payload_bytes,
    opened_at = :now
where
    batch_id = :batch_id
    and fencing_token = :fencing_token
    and leased_by_run_id = :leased_by_run_id
    and batch_state = :seen_state
returning *;

-- name: submit_batch
-- uploading → submitted, or pending → submitted for collections: record the intent before Salesforce is asked to
-- start. From here on records may exist.
update lead_batches
set
    batch_state = 'submitted',
    submitted_at = :now
where
    batch_id = :batch_id
    and fencing_token = :fencing_token
    and leased_by_run_id = :leased_by_run_id
    and batch_state = :seen_state
returning *;

-- name: return_batch
-- uploading or submitted → pending: prepare another attempt without a job.
update lead_batches
set
    batch_state = 'pending',
    attempt_count = attempt_count + :attempts,
    salesforce_job_id = null,
    opened_at = null,
    submitted_at = null
where
    batch_id = :batch_id
    and fencing_token = :fencing_token
    and leased_by_run_id = :leased_by_run_id
    and batch_state = :seen_state
returning *;

-- name: add_batch_counts
-- Add the outcomes just recorded, and subtract the persons from those still open.
-- As the first statement of its transaction it also locks the batch: no run can take it over before the commit.
update lead_batches
set
    person_count = person_count - :released_count,
    created_count = created_count + :created_count,
    updated_count = updated_count + :updated_count,
    duplicate_count = duplicate_count + :duplicate_count,
    rejected_count = rejected_count + :rejected_count,
    held_count = held_count + :held_count
where
    batch_id = :batch_id
    and fencing_token = :fencing_token
    and leased_by_run_id = :leased_by_run_id
    and batch_state = :seen_state
returning *;

-- name: complete_batch
-- → completed: every person has an outcome or was released.
update lead_batches
set
    batch_state = 'completed',
    completed_at = :now
where
    batch_id = :batch_id
    and fencing_token = :fencing_token
    and leased_by_run_id = :leased_by_run_id
    and batch_state = :seen_state
returning *;

-- name: record_job
-- Insert a job. Jobs are never deleted, so that every job of ours is known.
insert into salesforce_jobs (salesforce_job_id, batch_id, attempt, opened_at)
values (:salesforce_job_id, :batch_id, :attempt, :now);

-- name: record_unknown_job
-- Insert a job that this ledger did not create, so that it is known from now on. Its batch is NONE.
insert into salesforce_jobs (
    salesforce_job_id,
    batch_id,
    attempt,
    opened_at,
    end_state,
    processed_count,
    failed_count
) values (
    :salesforce_job_id,
    'NONE',
    0,
    :opened_at,
    :end_state,
    :processed_count,
    :failed_count
)
on conflict (salesforce_job_id) do nothing;

-- name: end_job
-- Record how a job ended and how many records it processed.
update salesforce_jobs
set
    end_state = :end_state,
    processed_count = :processed_count,
    failed_count = :failed_count
where salesforce_job_id = :salesforce_job_id;

-- name: known_job_ids
-- List every job in the ledger.
select salesforce_job_id from salesforce_jobs;

-- name: count_discarded_jobs
-- Count the jobs of a batch that were aborted before they started: their processed count was never read.
select count(*) as job_count
from salesforce_jobs
where
    batch_id = :batch_id
    and end_state = 'Aborted'
    and processed_count is null;

-- name: create_released_claims
-- Create the table of persons that leave a batch. Without an outcome they are new again.
create temporary table released_claims (
    person_id text not null primary key,
    outcome text,
    lead_id text,
    contact_id text,
    owner_id text,
    owner_name text,
    owner_type text,
    reason_code text
);

-- name: record_outcomes
-- Insert or update the outcomes of a batch: Salesforce's result, and what the claim recorded about the person.
insert into person_outcomes (
    person_id,
    outcome,
    run_id,
    batch_id,
    lead_id,
    contact_id,
    owner_strategy,
    owner_id,
    owner_name,
    owner_type,
    reason_code,
    defaulted_fields,
    attempt_count,
    source_changed_at,
    source_version,
    decided_at
)
select
    released_claims.person_id,
    released_claims.outcome,
    :run_id,
    person_claims.batch_id,
    coalesce(released_claims.lead_id, person_claims.lead_id),
    coalesce(released_claims.contact_id, person_claims.contact_id),
    person_claims.owner_strategy,
    released_claims.owner_id,
    released_claims.owner_name,
    released_claims.owner_type,
    coalesce(released_claims.reason_code, person_claims.reason_code),
    person_claims.defaulted_fields,
    person_claims.attempt_count,
    person_claims.source_changed_at,
    person_claims.source_version,
    :now

from released_claims

inner join person_claims on released_claims.person_id = person_claims.person_id

where person_claims.batch_id = :batch_id

on conflict (person_id) do update
    set
        outcome = excluded.outcome,
        run_id = excluded.run_id,
        batch_id = excluded.batch_id,
        lead_id = excluded.lead_id,
        contact_id = excluded.contact_id,
        owner_strategy = excluded.owner_strategy,
        owner_id = excluded.owner_id,
        owner_name = excluded.owner_name,
        owner_type = excluded.owner_type,
        reason_code = excluded.reason_code,
        defaulted_fields = excluded.defaulted_fields,
        attempt_count = excluded.attempt_count,
        source_changed_at = excluded.source_changed_at,
        source_version = excluded.source_version,
        decided_at = excluded.decided_at;

-- name: delete_released_claims
-- Delete the claims of the persons that leave the batch. The row count must equal their number.
delete from person_claims
where
    batch_id = :batch_id
    and person_id in (select released_claims.person_id from released_claims);

-- name: delete_unused_matches
-- Delete the matches of persons that end rejected, held or released: what was planned for the match did not happen.
delete from duplicate_persons
where
    run_id = :run_id
    and person_id in (
        select released_claims.person_id
        from released_claims
        where
            released_claims.outcome is null
            or released_claims.outcome in ('rejected', 'held')
    );

-- name: mark_matches_reported
-- Set the matches of duplicates to reported: no lead was created or updated for them.
update duplicate_persons
set action_taken = 'reported'
where
    run_id = :run_id
    and person_id in (
        select released_claims.person_id
        from released_claims
        where released_claims.outcome = 'duplicate'
    );

-- name: delete_released_emails
-- Delete the e-mail claims of persons that are released or rejected.
delete from person_emails
where person_id in (
    select released_claims.person_id
    from released_claims
    where
        released_claims.outcome is null
        or released_claims.outcome = 'rejected'
);
