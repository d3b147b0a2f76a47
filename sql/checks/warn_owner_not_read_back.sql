-- The run created a lead whose owner was not read back.
select
    person_id,
    lead_id
from person_outcomes
where
    run_id = :run_id
    -- Wrapped in coalesce, so that no index by outcome is used: it would lead through the whole history.
    and coalesce(outcome, '') = 'created'
    and owner_id is null
