-- Decisions on held persons, by a person with the command `resolve` or by a run that found the lead.
-- An update compares the outcome that it expects; no row means that another run has changed it.

-- name: read_person_state
-- Return what the ledger knows of a person; no row for an unknown person.
with

known as (

    select outcomes.person_id
    from person_outcomes as outcomes
    where outcomes.person_id = :person_id

    union

    select claims.person_id
    from person_claims as claims
    where claims.person_id = :person_id

),

person_state as (

    select
        known.person_id,
        person_outcomes.outcome,
        person_outcomes.reason_code,
        person_outcomes.run_id,
        person_outcomes.batch_id,
        person_outcomes.attempt_count,
        person_claims.batch_id as claimed_by
    from known
    left join person_outcomes
        on known.person_id = person_outcomes.person_id
    left join person_claims
        on known.person_id = person_claims.person_id

)

select * from person_state;

-- name: last_resolution
-- Return the last resolution of a person.
select
    run_id,
    resolved_as,
    is_automatic,
    resolved_by,
    note,
    lead_id,
    held_run_id,
    held_reason,
    resolved_at
from resolutions
where person_id = :person_id
order by resolved_at desc, run_id desc
limit 1;

-- name: held_person_ids
-- List the held persons that are in no batch, those to be sent again included.
select person_id
from person_outcomes
where
    outcome = 'held'
    and not exists (
        select 1
        from person_claims
        where person_claims.person_id = person_outcomes.person_id
    );

-- name: persons_created_as_lead
-- List the persons for whom this lead was created.
select person_id
from person_outcomes
where
    lead_id = :lead_id
    and outcome = 'created';

-- name: resend_held_person
-- held → held with reason RESEND: the next run sends the person again.
update person_outcomes
set reason_code = 'RESEND'
where
    person_id = :person_id
    and outcome = 'held'
    and run_id = :seen_run_id
    and attempt_count = :seen_attempt_count
    and not exists (
        select 1
        from person_claims
        where person_claims.person_id = person_outcomes.person_id
    );

-- name: resolve_held_person
-- held → created or rejected, as decided.
update person_outcomes
set
    outcome = :outcome,
    run_id = :run_id,
    lead_id = :lead_id,
    owner_id = :owner_id,
    owner_name = :owner_name,
    owner_type = :owner_type,
    reason_code = :reason_code,
    source_version = coalesce(:source_version, source_version),
    attempt_count = attempt_count + 1,
    decided_at = :now
where
    person_id = :person_id
    and outcome = 'held'
    and run_id = :seen_run_id
    and attempt_count = :seen_attempt_count
    and not exists (
        select 1
        from person_claims
        where person_claims.person_id = person_outcomes.person_id
    );

-- name: record_resolution
-- Insert who decided what on a held person, and why.
insert into resolutions (
    run_id,
    person_id,
    resolved_as,
    is_automatic,
    resolved_by,
    note,
    lead_id,
    held_run_id,
    batch_id,
    held_reason,
    resolved_at
) values (
    :run_id,
    :person_id,
    :resolved_as,
    :is_automatic,
    :resolved_by,
    :note,
    :lead_id,
    :held_run_id,
    :batch_id,
    :held_reason,
    :resolved_at
);

-- name: delete_email_of_person
-- Delete the e-mail claim of a person.
delete from person_emails
where person_id = :person_id;

-- name: create_found_leads
-- Create the table of leads that a run found for held persons.
create temporary table found_leads (
    person_id text not null primary key,
    lead_id text not null,
    owner_id text,
    owner_name text,
    owner_type text,
    reason_code text not null
);

-- name: record_found_leads
-- Insert a resolution for each held person whose lead the run found.
insert into resolutions (
    run_id,
    person_id,
    resolved_as,
    is_automatic,
    lead_id,
    held_run_id,
    batch_id,
    held_reason,
    resolved_at
)
select
    :run_id,
    found_leads.person_id,
    'created',
    true,
    found_leads.lead_id,
    person_outcomes.run_id,
    person_outcomes.batch_id,
    coalesce(person_outcomes.reason_code, ''),
    :now

from found_leads

inner join person_outcomes on found_leads.person_id = person_outcomes.person_id

where
    person_outcomes.outcome = 'held'
    and not exists (
        select 1
        from person_claims
        where person_claims.person_id = found_leads.person_id
    );

-- name: resolve_found_leads
-- held → created for each person whose resolution this run has just inserted.
update person_outcomes
set
    outcome = 'created',
    run_id = :run_id,
    lead_id = found_leads.lead_id,
    owner_id = found_leads.owner_id,
    owner_name = found_leads.owner_name,
    owner_type = found_leads.owner_type,
    reason_code = found_leads.reason_code,
    attempt_count = attempt_count + 1,
    decided_at = :now
from found_leads
where
    found_leads.person_id = person_outcomes.person_id
    and person_outcomes.outcome = 'held'
    and exists (
        select 1
        from resolutions
        where
            resolutions.run_id = :run_id
            and resolutions.person_id = person_outcomes.person_id
    );
