-- The results: what became of each person, and why.

-- One row a person: the latest word on what became of them.
create table person_outcomes (
    person_id text not null primary key, -- the warehouse's own key, as text
    outcome text not null -- what became of the person
    check (outcome in ('created', 'updated', 'duplicate', 'rejected', 'held')),
    run_id text not null, -- the run that read the person
    batch_id text, -- the batch that carried the person; null when none was needed
    lead_id text, -- the lead created, updated or already there
    contact_id text, -- the contact already there
    owner_strategy text, -- the strategy that decided who owns the lead
    owner_id text, -- the owner Salesforce really gave, read back
    owner_name text, -- the owner's name
    owner_type text -- what kind of owner
    check (owner_type in ('user', 'queue')),
    reason_code text, -- why, in one word; null when there is nothing to say
    defaulted_fields text, -- Lead fields filled from defaults, comma-separated; null for none
    attempt_count integer not null, -- times this person has been decided
    source_changed_at timestamp, -- UTC; the person's updated_at when read
    source_version text, -- the same, as the warehouse spells it: a rejected person is new again when it changes
    decided_at timestamp not null -- UTC
);

create index person_outcomes_by_run on person_outcomes (run_id);
create index person_outcomes_by_outcome on person_outcomes (outcome);

-- One row a run, person and rule broken: all of them, not only the first.
create table rejected_persons (
    run_id text not null, -- the run that read the person
    person_id text not null, -- the warehouse's own key, as text; empty for rows without one
    rule_name text not null, -- see rejection_rules; at stage salesforce its status code
    stage text not null -- who said no
    check (stage in ('validation', 'owner', 'salesforce')),
    field_name text, -- the persons column or Lead field, several comma-separated; null when no field is to blame
    observed_value text, -- what was found there, shortened: personal data
    message text not null, -- the sentence a steward reads
    is_retryable boolean not null, -- whether trying again unchanged may succeed
    rejected_at timestamp not null, -- UTC
    primary key (run_id, person_id, rule_name)
);

create index rejected_persons_by_person on rejected_persons (person_id);

-- One row a run, person and record matched.
create table duplicate_persons (
    run_id text not null, -- the run that read the person
    person_id text not null, -- the warehouse's own key, as text
    matched_in text not null -- where the person was already known
    check (
        matched_in in (
            'persons', 'ledger', 'lead', 'converted_lead', 'contact', 'deleted', 'salesforce_rule'
        )
    ),
    matched_id text not null, -- the record or person matched; empty when Salesforce does not say
    match_key text not null, -- what matched: email, person_id or the duplicate rule
    matched_count integer not null, -- how many records matched in all
    is_ambiguous boolean not null, -- more than one record of a kind: nobody can tell which is meant
    action_taken text not null -- what was done about it
    check (action_taken in ('reported', 'updated', 'duplicate_lead_created', 'recreated')),
    found_at timestamp not null, -- UTC
    primary key (run_id, person_id, matched_in, matched_id)
);

create index duplicate_persons_by_person on duplicate_persons (person_id);

-- One row a rule a person can break.
create table rejection_rules (
    rule_name text not null primary key, -- stable: reports and alerts may rely on it
    stage text not null -- who says no
    check (stage in ('validation', 'owner', 'salesforce')),
    field_name text, -- the persons column it looks at; null when it is about several
    sentence text not null, -- what is wrong, for a steward
    remedy text not null -- what to do about it
);

-- One row a plan run and person: what would happen.
create table planned_persons (
    run_id text not null, -- the plan run
    person_id text not null, -- the warehouse's own key, as text
    decision text not null -- what a live run would do
    check (decision in ('create', 'update', 'duplicate', 'reject')),
    owner_strategy text, -- the strategy that would decide
    owner_name text, -- the owner to be; null when an assignment rule chooses
    matched_id text, -- the record already known
    reason_code text, -- why, in one word
    primary key (run_id, person_id)
);
