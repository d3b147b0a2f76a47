-- Writes a batch with as many persons as it has really claimed; none if it has claimed nobody.
insert into lead_batches (
    batch_id,
    run_id,
    owner_strategy,
    operation,
    sobject,
    load_api,
    assignment_rule_id,
    allow_duplicates,
    person_count,
    leased_by_run_id,
    lease_until,
    planned_at
)
select
    :batch_id,
    :run_id,
    :owner_strategy,
    :operation,
    :sobject,
    :load_api,
    :assignment_rule_id,
    :allow_duplicates,
    claimed.person_count,
    :run_id,
    :lease_until,
    :now

from (
    select count(*) as person_count
    from person_claims
    where batch_id = :batch_id
) as claimed

where claimed.person_count > 0

returning *
