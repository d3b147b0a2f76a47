-- Claims: the decisions on a slice, recorded in one transaction.
-- All runs insert claims first and e-mails second, each sorted by key. Two runs therefore never wait for each other
-- in a circle, and the primary keys decide which run gets a person or an e-mail.

-- name: create_slice_persons
-- Create the table of all persons of a slice, so that each step below is one statement.
-- claim_result: kept (recorded by this run), taken (another run has the person), retry (the e-mail is claimed by
-- another person: decide again).
create temporary table slice_persons (
    person_id text not null primary key,
    attempt_count integer not null,
    source_changed_at timestamp,
    source_version text,
    email_hash text,
    is_claiming_email boolean not null,
    is_sent boolean not null,
    batch_id text not null,
    outcome text,
    owner_strategy text,
    owner_id text,
    lead_id text,
    contact_id text,
    row_hash text,
    defaulted_fields text,
    reason_code text,
    claim_result text not null default 'kept'
);

-- name: index_slice_emails
-- Index the e-mails of the slice. Needed only when a person is to be decided again: without the index PostgreSQL
-- compares each duplicate with every person of the slice.
create index slice_persons_by_email on slice_persons (email_hash);

-- name: claim_persons
-- Claim every person of the slice that no run has claimed.
insert into person_claims (
    person_id,
    batch_id,
    run_id,
    claimed_at,
    owner_strategy,
    owner_id,
    lead_id,
    contact_id,
    row_hash,
    defaulted_fields,
    reason_code,
    attempt_count,
    source_changed_at,
    source_version,
    email_hash
)
select
    person_id,
    batch_id,
    :run_id,
    :now,
    coalesce(owner_strategy, ''),
    owner_id,
    lead_id,
    contact_id,
    coalesce(row_hash, ''),
    defaulted_fields,
    reason_code,
    attempt_count + 1,
    source_changed_at,
    source_version,
    email_hash

from slice_persons

-- Without a where, SQLite takes `on conflict` for the condition of a join.
where true

order by person_id

on conflict (person_id) do nothing;

-- name: mark_claimed_by_others
-- Mark the persons that another run has claimed.
update slice_persons
set claim_result = 'taken'
where not exists (
    select 1
    from person_claims
    where
        person_claims.person_id = slice_persons.person_id
        and person_claims.batch_id = slice_persons.batch_id
);

-- name: mark_decided_by_others
-- Mark the persons that another run decided after this run read them: their attempt count has changed.
update slice_persons
set claim_result = 'taken'
where attempt_count <> coalesce(
    (
        select person_outcomes.attempt_count
        from person_outcomes
        where person_outcomes.person_id = slice_persons.person_id
    ),
    0
);

-- name: claim_emails
-- Claim the e-mails that no person has.
insert into person_emails (email_hash, person_id, run_id, claimed_at)
select
    email_hash,
    person_id,
    :run_id,
    :now

from slice_persons

where
    is_claiming_email
    and email_hash is not null
    and claim_result = 'kept'

order by email_hash, person_id

on conflict (email_hash) do nothing;

-- name: mark_email_conflicts
-- Mark the persons to be sent whose e-mail belongs to another person: they must be decided again.
update slice_persons
set claim_result = 'retry'
where
    is_sent
    and claim_result = 'kept'
    and exists (
        select 1
        from person_emails
        where
            person_emails.email_hash = slice_persons.email_hash
            and person_emails.person_id <> slice_persons.person_id
    );

-- name: mark_outdated_duplicates
-- Mark the duplicates that an earlier slice of the same run has made wrong: they must be decided again.
-- Either another person has the e-mail now, or no person has it any more.
update slice_persons
set claim_result = 'retry'
where
    claim_result = 'kept'
    and outcome = 'duplicate'
    and email_hash is not null
    and (
        (
            is_claiming_email
            and exists (
                select 1
                from person_emails
                where
                    person_emails.email_hash = slice_persons.email_hash
                    and person_emails.person_id <> slice_persons.person_id
            )
        )
        or (
            not is_claiming_email
            and not exists (
                select 1
                from person_emails
                where person_emails.email_hash = slice_persons.email_hash
            )
        )
    );

-- name: mark_same_email_retries
-- Mark the duplicates of persons that are decided again. Recorded now, they would be duplicates of a person
-- without a lead, and therefore new again immediately.
update slice_persons
set claim_result = 'retry'
where
    claim_result = 'kept'
    and outcome = 'duplicate'
    and email_hash in (
        select others.email_hash
        from slice_persons as others
        where others.claim_result = 'retry'
    );

-- name: persons_not_recorded
-- List the persons of the slice that this run does not record, and why.
select
    person_id,
    claim_result

from slice_persons

where claim_result <> 'kept'

order by person_id;

-- name: record_decided_persons
-- Insert or update the outcomes of the persons that need no request to Salesforce.
insert into person_outcomes (
    person_id,
    outcome,
    run_id,
    lead_id,
    contact_id,
    owner_strategy,
    reason_code,
    defaulted_fields,
    attempt_count,
    source_changed_at,
    source_version,
    decided_at
)
select
    person_id,
    outcome,
    :run_id,
    lead_id,
    contact_id,
    owner_strategy,
    reason_code,
    defaulted_fields,
    attempt_count + 1,
    source_changed_at,
    source_version,
    :now

from slice_persons

where
    claim_result = 'kept'
    and not is_sent

on conflict (person_id) do update
    set
        outcome = excluded.outcome,
        run_id = excluded.run_id,
        batch_id = null,
        lead_id = excluded.lead_id,
        contact_id = excluded.contact_id,
        owner_strategy = excluded.owner_strategy,
        owner_id = null,
        owner_name = null,
        owner_type = null,
        reason_code = excluded.reason_code,
        defaulted_fields = excluded.defaulted_fields,
        attempt_count = excluded.attempt_count,
        source_changed_at = excluded.source_changed_at,
        source_version = excluded.source_version,
        decided_at = excluded.decided_at;

-- name: delete_unsent_claims
-- Delete the claims of persons that are decided or not recorded. A claim protects a decision, too, but only
-- until the end of the transaction.
delete from person_claims
where
    person_id in (
        select slice_persons.person_id
        from slice_persons
        where
            not slice_persons.is_sent
            or slice_persons.claim_result <> 'kept'
    )
    -- The batches of this slice are its own: a claim under another batch stays.
    and batch_id in (select slice_persons.batch_id from slice_persons);

-- name: delete_rejected_emails
-- Delete the e-mail claims of rejected persons, so that the next person with the e-mail can be sent.
delete from person_emails
where person_id in (
    select slice_persons.person_id
    from slice_persons
    where
        slice_persons.claim_result = 'kept'
        and slice_persons.outcome = 'rejected'
);
