-- Writes the outcomes of the persons decided without asking Salesforce to make anything.
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

from judged_persons

where
    fate = 'kept'
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
        decided_at = excluded.decided_at
