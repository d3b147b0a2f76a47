-- One row a person: the latest outcome.
-- owner_strategy: the strategy that decided who owns the lead; NONE when none was needed
-- owner_name: the owner's name; NONE when there is no owner
-- owner_type: user or queue; NONE when there is no owner
-- reason_code: why, as a code; NONE when there is nothing to add
-- is_filled: whether an empty field was filled from the defaults
-- decided_date: the UTC day of decided_at
select
    ---------- ids
    person_id,
    run_id,
    batch_id,
    lead_id,
    contact_id,
    owner_id,

    ---------- attributes
    outcome,
    coalesce(owner_strategy, 'NONE') as owner_strategy,
    coalesce(owner_name, 'NONE') as owner_name,
    coalesce(owner_type, 'NONE') as owner_type,
    coalesce(reason_code, 'NONE') as reason_code,
    defaulted_fields is not null as is_filled,

    ---------- measures
    attempt_count,

    ---------- dates
    date(decided_at) as decided_date,
    source_changed_at,
    decided_at
from person_outcomes
