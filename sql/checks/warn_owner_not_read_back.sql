-- The run created a lead, and nobody has read who owns it.
select
    person_id,
    lead_id
from person_outcomes
where
    run_id = :run_id
    -- Asked so, the index by outcome is left alone: it would lead through the whole history.
    and coalesce(outcome, '') = 'created'
    and owner_id is null
