-- Writes what became of a batch's persons: the org's word, and what the claim remembers of the person.
insert into person_outcomes (
    person_id,
    outcome,
    run_id,
    batch_id,
    lead_id,
    contact_id,
    owner_strategy,
    owner_id,
    owner_name,
    owner_type,
    reason_code,
    defaulted_fields,
    attempt_count,
    source_changed_at,
    source_version,
    decided_at
)
select
    leaving_persons.person_id,
    leaving_persons.outcome,
    :run_id,
    person_claims.batch_id,
    coalesce(leaving_persons.lead_id, person_claims.lead_id),
    coalesce(leaving_persons.contact_id, person_claims.contact_id),
    person_claims.owner_strategy,
    leaving_persons.owner_id,
    leaving_persons.owner_name,
    leaving_persons.owner_type,
    coalesce(leaving_persons.reason_code, person_claims.reason_code),
    person_claims.defaulted_fields,
    person_claims.attempt_count,
    person_claims.source_changed_at,
    person_claims.source_version,
    :now

from leaving_persons

inner join person_claims on leaving_persons.person_id = person_claims.person_id

where person_claims.batch_id = :batch_id

on conflict (person_id) do update
    set
        outcome = excluded.outcome,
        run_id = excluded.run_id,
        batch_id = excluded.batch_id,
        lead_id = excluded.lead_id,
        contact_id = excluded.contact_id,
        owner_strategy = excluded.owner_strategy,
        owner_id = excluded.owner_id,
        owner_name = excluded.owner_name,
        owner_type = excluded.owner_type,
        reason_code = excluded.reason_code,
        defaulted_fields = excluded.defaulted_fields,
        attempt_count = excluded.attempt_count,
        source_changed_at = excluded.source_changed_at,
        source_version = excluded.source_version,
        decided_at = excluded.decided_at
