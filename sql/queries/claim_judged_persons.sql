-- Claims every person judged whom nobody holds, in one order for all runs, so that none waits in a circle.
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

from judged_persons

-- Without a where, SQLite takes `on conflict` for the condition of a join.
where true

order by person_id

on conflict (person_id) do nothing
