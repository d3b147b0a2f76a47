-- Runs: running → finished, failed or deadline.
-- Counts obey the conservation law read = created + updated + duplicate + rejected + held + open.

-- name: begin_run
-- Insert the run and the process that executes it.
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
);

-- name: ledger_org
-- Return the org that this ledger belongs to. There is no row before the first login.
select
    org_id,
    org_name

from sync_orgs;

-- name: record_org
-- Bind the ledger to the org of its first login.
insert into sync_orgs (org_id, org_name, is_sandbox, first_seen_at)
values (:org_id, :org_name, :is_sandbox, :now);

-- name: bind_run
-- Record the org that a run has logged in to.
update sync_runs set org_id = :org_id
where run_id = :run_id;

-- name: run_mode
-- Return what was asked of a run.
select run_mode from sync_runs
where run_id = :run_id;

-- name: lookup_method
-- Return how a run looks up existing records in Salesforce.
select lookup_method
from sync_runs
where run_id = :run_id;

-- name: record_lookup_stats
-- Record how a run, or one of its workers, looks up existing records, and add what that has cost.
update sync_runs
set
    lookup_method = case
        when coalesce(lookup_method, :lookup_method) = :lookup_method then :lookup_method
        else 'mixed'
    end,
    lookup_call_count = lookup_call_count + :lookup_call_count,
    lookup_record_count = lookup_record_count + :lookup_record_count,
    lookup_seconds = lookup_seconds + :lookup_seconds
where run_id = :run_id;

-- name: add_run_counts
-- Add to the counts of a run; the conservation law holds before and after.
-- When a batch releases persons after its run has counted its list, they are unread for that run.
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
where run_id = :run_id;

-- name: run_counts
-- Return what a run has counted so far.
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

where run_id = :run_id;

-- name: lock_run
-- Lock the row of a run, so that its counts do not change until the end of the transaction.
update sync_runs set listed_count = 0
where run_id = :run_id;

-- name: count_listed_persons
-- Count the persons on the list of a run: all of them, those that another run took, and those still unread.
with

listed as (

    select
        person_claims.person_id is null
        and planned_persons.person_id is null
        and coalesce(person_outcomes.attempt_count, 0) <= run_persons.attempt_count as is_unread,
        coalesce(planned_persons.run_id, person_claims.run_id, person_outcomes.run_id) as decided_by_run_id

    from run_persons

    left join person_claims on run_persons.person_id = person_claims.person_id

    left join person_outcomes on run_persons.person_id = person_outcomes.person_id

    left join planned_persons
        on
            run_persons.run_id = planned_persons.run_id
            and run_persons.person_id = planned_persons.person_id

    where run_persons.run_id = :run_id

),

counted as (

    select
        count(*) as listed_count,
        count(*) filter (where not is_unread and decided_by_run_id <> :run_id) as taken_count,
        count(*) filter (where is_unread) as unread_count

    from listed

)

update sync_runs
set
    listed_count = (select counted.listed_count from counted),
    taken_count = (select counted.taken_count from counted),
    unread_count = (select counted.unread_count from counted)
where run_id = :run_id
returning unread_count;

-- name: end_run
-- End a run that is still running. A run that was already marked as failed stays failed.
update sync_runs
set
    run_state = :run_state,
    finished_at = :now,
    api_call_count = :api_call_count,
    error_code = :error_code,
    error_message = :error_message
where
    run_id = :run_id
    and run_state = 'running';

-- name: fail_run
-- Mark a run as failed whose process has died.
update sync_runs
set
    run_state = 'failed',
    finished_at = :now,
    error_code = :error_code,
    error_message = :error_message
where
    run_id = :run_id
    and run_state = 'running';

-- name: running_runs
-- List the runs in state running, with the process that should be alive.
select
    run_id,
    process_host,
    process_id

from sync_runs

where run_state = 'running'

order by run_id;

-- name: delete_run_persons
-- Delete the list of persons that a run was to read.
delete from run_persons
where run_id = :run_id;

-- name: delete_planned_emails
-- Delete the e-mail claims that a plan run made for itself.
delete from person_emails
where
    run_id = :run_id
    and email_hash like 'plan:%'
    and person_id in (
        select run_persons.person_id
        from run_persons
        inner join sync_runs on run_persons.run_id = sync_runs.run_id
        where
            run_persons.run_id = :run_id
            and sync_runs.run_mode = 'plan'
    );

-- name: unchecked_runs
-- List the runs that changed since the checks last read them, with their present revision.
select
    run_id,
    revision
from sync_runs
where
    checked_revision is null
    or checked_revision <> revision;

-- name: record_checked_revision
-- Record the revision of a run that the checks have read.
update sync_runs set checked_revision = :revision
where run_id = :run_id;
