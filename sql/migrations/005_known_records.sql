-- What Salesforce has, as far as matching needs it: read once by bulk queries, then kept up to date by SystemModstamp.
-- Nothing here is a result; all of it may be thrown away, and the next run that needs it reads it anew.

-- One row a reading of the whole org; the newest whole one is what persons are matched against.
create table org_snapshots (
    fill_number integer not null primary key, -- drawn at random when the reading began
    org_id text not null, -- the org that was read
    person_id_field text not null, -- the Lead field read as person id; empty for none
    is_whole boolean not null, -- whether all of it has arrived; until then nobody may match against it
    lead_until timestamp, -- UTC by the org's clock; the SystemModstamp up to which leads were read; null until whole
    contact_until timestamp, -- UTC by the org's clock; the same of contacts
    record_count integer not null, -- records it holds, deleted ones too
    holder_id text, -- whoever is writing it, drawn anew each time; null for nobody
    leased_by_run_id text, -- the run for which; several workers may share it
    held_until timestamp, -- UTC; afterwards another run may write it
    begun_at timestamp not null, -- UTC
    looked_at timestamp -- UTC; when the org was last asked what has changed
);

-- One row a lead or contact and reading, deleted ones too.
create table org_records (
    position integer not null primary key, -- in the order of arrival, over all readings
    fill_number integer not null, -- the reading it belongs to; one of a reading that is gone is refuse
    record_id text not null, -- Salesforce's id
    sobject text not null, -- Lead or Contact
    email_hash text, -- sha256 of its e-mail, lower-cased and trimmed; null without e-mail
    email_number bigint, -- the first 60 bits of email_hash, as org_record_keys has them
    person_id text, -- what the lead holds in the person-id field
    person_number bigint, -- the first 60 bits of the sha256 of person_id, all bits turned, so that it is below zero
    is_converted boolean not null, -- whether the lead has become a contact
    is_deleted boolean not null, -- whether it lies in the recycle bin
    converted_contact_id text, -- the contact that a converted lead became
    created_at timestamp not null, -- UTC; its CreatedDate
    owner_id text -- its owner
);

-- One row a key of a known record: by e-mail, and of leads by person id. Kept beside the records and written in its own
-- order, because an index kept up row by row takes longer than all the rest of a reading.
create table org_record_keys (
    fill_number integer not null, -- the reading the record belongs to
    key_number bigint not null, -- email_number or person_number of the record; whether they are equal the record decides
    position integer not null, -- which record
    primary key (fill_number, key_number, position)
);

alter table sync_runs add column matching_call_count integer not null default 0; -- requests sent to look up known records
alter table sync_runs add column matching_record_count integer not null default 0; -- known records that Salesforce told for it
alter table sync_runs add column matching_seconds integer not null default 0; -- time that took, of all workers together
