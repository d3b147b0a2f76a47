-- A place in this transaction for the persons judged, so that a claim is one statement for all of them.
create temporary table judged_persons (
    person_id text not null primary key,
    attempt_count integer not null,
    source_changed_at timestamp,
    source_version text,
    email_hash text,
    is_email_taken boolean not null,
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
    fate text not null default 'kept'
)
