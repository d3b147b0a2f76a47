-- The run created a lead, and nobody has read who owns it.
select
    person_id,
    lead_id
from person_outcomes
where
    run_id = :run_id
    and outcome = 'created'
    and owner_id is null
