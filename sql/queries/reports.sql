-- What happened, read for the commands and the run page.

-- name: report_runs
-- List the latest runs, newest first, or the one run that is named.
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
    lookup_call_count,
    lookup_record_count,
    lookup_seconds,
    started_at,
    finished_at
from sync_runs
where
    cast(:run_id as text) is null
    or run_id = :run_id
order by started_at desc, run_id desc
limit :row_limit;

-- name: report_last_run
-- Return the run that began last.
select run_id
from sync_runs
order by started_at desc, run_id desc
limit 1;

-- name: report_strategies
-- Count the persons of a run by owner strategy and outcome; open ones are still in a batch.
with

decided as (

    select
        owner_strategy,
        outcome
    from person_outcomes
    where run_id = :run_id

    union all

    select
        owner_strategy,
        'open' as outcome
    from person_claims
    where run_id = :run_id

),

counted as (

    select
        coalesce(owner_strategy, 'NONE') as owner_strategy,
        outcome,
        count(*) as person_count
    from decided
    group by coalesce(owner_strategy, 'NONE'), outcome

)

select * from counted
order by owner_strategy, outcome;

-- name: report_planned
-- Count what a plan run would do, by owner strategy and owner.
select
    coalesce(owner_strategy, 'NONE') as owner_strategy,
    coalesce(owner_name, 'NONE') as owner_name,
    decision,
    count(*) as person_count
from planned_persons
where run_id = :run_id
group by coalesce(owner_strategy, 'NONE'), coalesce(owner_name, 'NONE'), decision
order by owner_strategy, owner_name, decision;

-- name: report_reasons
-- Count why persons of a run were rejected, the most frequent reason first. A person counts once for each rule.
with

counted as (

    select
        rule_name,
        stage,
        coalesce(field_name, 'NONE') as field_name,
        count(distinct person_id) as person_count,
        count(distinct person_id) filter (where is_retryable) as retryable_count
    from rejected_persons
    where run_id = :run_id
    group by rule_name, stage, coalesce(field_name, 'NONE')

),

explained as (

    select
        counted.rule_name,
        counted.stage,
        counted.field_name,
        -- Salesforce's own message may contain personal data, so only our own descriptions are shown.
        coalesce(rejection_rules.description, 'Salesforce rejected the record with this status code.') as description,
        coalesce(rejection_rules.remedy, 'Look the code up in Salesforce''s list of status codes.') as remedy,
        counted.person_count,
        counted.retryable_count
    from counted
    left join rejection_rules
        on counted.rule_name = rejection_rules.rule_name

)

select * from explained
order by person_count desc, rule_name asc, field_name asc;

-- name: report_duplicates
-- Count where persons of a run were already known, and what was done about it.
select
    matched_in,
    match_key,
    action_taken,
    count(distinct person_id) as person_count,
    count(distinct person_id) filter (where is_ambiguous) as ambiguous_count
from duplicate_persons
where run_id = :run_id
group by matched_in, match_key, action_taken
order by matched_in, match_key, action_taken;

-- name: report_owners
-- Count the leads that each owner got from a run.
select
    owner_id,
    owner_strategy,
    max(owner_name) as owner_name,
    max(owner_type) as owner_type,
    count(*) filter (where outcome = 'created') as created_count,
    count(*) filter (where outcome = 'updated') as updated_count
from person_outcomes
where
    run_id = :run_id
    and outcome in ('created', 'updated')
group by owner_id, owner_strategy
order by created_count desc, owner_id asc, owner_strategy asc;

-- name: report_resolutions
-- Count the resolutions recorded by a run.
select
    resolved_as,
    is_automatic,
    count(*) as person_count
from resolutions
where run_id = :run_id
group by resolved_as, is_automatic
order by resolved_as, is_automatic;

-- name: report_open_batches
-- List the batches of a run that still contain persons.
select
    batch_id,
    run_id,
    salesforce_job_id,
    batch_state,
    owner_strategy,
    operation,
    sobject,
    load_api,
    attempt_count,
    person_count,
    planned_at,
    submitted_at,
    lease_until
from lead_batches
where
    batch_state <> 'completed'
    and run_id = :run_id
order by planned_at, batch_id;

-- name: report_taken_over_batches
-- List the batches of earlier runs that a run has taken over, and the outcomes of their persons.
select
    batch_id,
    run_id,
    salesforce_job_id,
    batch_state,
    attempt_count,
    person_count as open_count,
    created_count,
    updated_count,
    duplicate_count,
    rejected_count,
    held_count
from lead_batches
where
    leased_by_run_id = :run_id
    and run_id <> :run_id
order by planned_at, batch_id;

-- name: report_held_persons
-- List the held persons, the longest held first.
select
    person_outcomes.person_id,
    person_outcomes.run_id,
    person_outcomes.batch_id,
    salesforce_jobs.salesforce_job_id,
    person_outcomes.owner_strategy,
    person_outcomes.reason_code,
    person_outcomes.decided_at
from person_outcomes
left join salesforce_jobs
    on
        person_outcomes.batch_id = salesforce_jobs.batch_id
        and salesforce_jobs.attempt = (
            select max(latest.attempt)
            from salesforce_jobs as latest
            where latest.batch_id = person_outcomes.batch_id
        )
where
    person_outcomes.outcome = 'held'
    -- The others are to be sent again and need no further decision.
    and coalesce(person_outcomes.reason_code, '') <> 'RESEND'
order by person_outcomes.decided_at, person_outcomes.person_id
limit :row_limit;

-- name: count_held_persons
-- Count the persons that wait for `resolve`.
select count(*) as held_count
from person_outcomes
where
    outcome = 'held'
    and coalesce(reason_code, '') <> 'RESEND';

-- name: report_rules
-- List the rejection rules.
select
    rule_name,
    stage,
    field_name,
    description,
    remedy
from rejection_rules
order by stage, rule_name;

-- name: report_person_outcomes
-- List what became of these persons, or which open batch contains them.
select
    person_claims.person_id,
    'open' as outcome,
    person_claims.run_id,
    person_claims.batch_id,
    lead_batches.batch_state,
    person_claims.lead_id,
    person_claims.contact_id,
    person_claims.owner_strategy,
    person_claims.owner_id,
    null as owner_name,
    null as owner_type,
    person_claims.reason_code,
    person_claims.defaulted_fields,
    person_claims.claimed_at as decided_at
from person_claims
left join lead_batches
    on person_claims.batch_id = lead_batches.batch_id
where person_claims.person_id in (:person_ids)

union all

select
    person_outcomes.person_id,
    person_outcomes.outcome,
    person_outcomes.run_id,
    person_outcomes.batch_id,
    lead_batches.batch_state,
    person_outcomes.lead_id,
    person_outcomes.contact_id,
    person_outcomes.owner_strategy,
    person_outcomes.owner_id,
    person_outcomes.owner_name,
    person_outcomes.owner_type,
    person_outcomes.reason_code,
    person_outcomes.defaulted_fields,
    person_outcomes.decided_at
from person_outcomes
left join lead_batches
    on person_outcomes.batch_id = lead_batches.batch_id
where
    person_outcomes.person_id in (:person_ids)
    and not exists (
        select 1
        from person_claims
        where person_claims.person_id = person_outcomes.person_id
    );

-- name: report_person_rejections
-- List the rules that these persons broke in the run of their present outcome.
select
    rejected_persons.person_id,
    rejected_persons.rule_name,
    rejected_persons.message
from rejected_persons
inner join person_outcomes
    on
        rejected_persons.person_id = person_outcomes.person_id
        and rejected_persons.run_id = person_outcomes.run_id
where rejected_persons.person_id in (:person_ids)
order by rejected_persons.person_id, rejected_persons.rule_name;

-- name: report_person_duplicates
-- List the records that these persons matched in the run of their present outcome.
select
    duplicate_persons.person_id,
    duplicate_persons.matched_in,
    duplicate_persons.matched_id
from duplicate_persons
inner join person_outcomes
    on
        duplicate_persons.person_id = person_outcomes.person_id
        and duplicate_persons.run_id = person_outcomes.run_id
where duplicate_persons.person_id in (:person_ids)
order by duplicate_persons.person_id, duplicate_persons.matched_in, duplicate_persons.matched_id;
