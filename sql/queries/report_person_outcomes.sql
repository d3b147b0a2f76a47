-- What became of these persons, or in which open batch they are.
select
    person_claims.person_id,
    'open' as outcome,
    person_claims.run_id,
    person_claims.batch_id,
    lead_batches.batch_state,
    person_claims.lead_id,
    person_claims.contact_id,
    person_claims.owner_strategy,
    person_claims.owner_id,
    null as owner_name,
    null as owner_type,
    person_claims.reason_code,
    person_claims.defaulted_fields,
    person_claims.claimed_at as decided_at
from person_claims
left join lead_batches
    on person_claims.batch_id = lead_batches.batch_id
where person_claims.person_id in (:person_ids)

union all

select
    person_outcomes.person_id,
    person_outcomes.outcome,
    person_outcomes.run_id,
    person_outcomes.batch_id,
    lead_batches.batch_state,
    person_outcomes.lead_id,
    person_outcomes.contact_id,
    person_outcomes.owner_strategy,
    person_outcomes.owner_id,
    person_outcomes.owner_name,
    person_outcomes.owner_type,
    person_outcomes.reason_code,
    person_outcomes.defaulted_fields,
    person_outcomes.decided_at
from person_outcomes
left join lead_batches
    on person_outcomes.batch_id = lead_batches.batch_id
where
    person_outcomes.person_id in (:person_ids)
    and not exists (
        select 1
        from person_claims
        where person_claims.person_id = person_outcomes.person_id
    )
