-- A person counts as created, and nobody knows the lead.
select
    person_id,
    batch_id
from person_outcomes
where
    outcome = 'created'
    and lead_id is null
