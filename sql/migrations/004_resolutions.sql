-- What was said of held persons, and up to where the checks have looked.

-- One row a word on a held person: a human's, or that of a run that found the lead by itself.
create table resolutions (
    run_id text not null, -- the run that recorded it
    person_id text not null, -- the warehouse's own key, as text
    resolved_as text not null -- what it says: the lead is there, send again, or no lead at all
    check (resolved_as in ('created', 'resend', 'rejected')),
    is_automatic boolean not null, -- whether a run found the lead by the person-id field, and no human spoke
    resolved_by text, -- who said it; null when it was a run
    note text, -- why, in their own words: may hold personal data
    lead_id text, -- the lead that was named or found; null unless created
    held_run_id text not null, -- the run that had held the person
    batch_id text, -- the batch that had carried the person
    held_reason text not null, -- why the person was held: JOB_GONE, RESULT_MISSING or RESPONSE_LOST
    resolved_at timestamp not null, -- UTC
    primary key (run_id, person_id)
);

create index resolutions_by_person on resolutions (person_id);

-- Whose a lead is, is asked at every word and after every run.
create index person_outcomes_by_lead on person_outcomes (lead_id);

alter table sync_runs add column revision integer not null default 0; -- times its counts have moved
alter table sync_runs add column checked_revision integer; -- the revision that sql/checks have looked at; null before
