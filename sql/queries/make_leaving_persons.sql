-- A place in this transaction for the persons who leave a batch; without an outcome they are new again.
create temporary table leaving_persons (
    person_id text not null primary key,
    outcome text,
    lead_id text,
    contact_id text,
    owner_id text,
    owner_name text,
    owner_type text,
    reason_code text
)
