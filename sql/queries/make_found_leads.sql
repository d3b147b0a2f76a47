-- A place in this transaction for the leads found of held persons.
create temporary table found_leads (
    person_id text not null primary key,
    lead_id text not null,
    owner_id text,
    owner_name text,
    owner_type text,
    reason_code text not null
)
