-- The persons a batch holds.
select
    person_id,
    batch_id,
    run_id,
    owner_strategy,
    owner_id,
    lead_id,
    contact_id,
    row_hash,
    filled_fields,
    reason_code,
    source_version,
    email_key,
    attempt_count,
    claimed_at,
    source_changed_at

from person_claims

where batch_id = :batch_id

order by person_id
