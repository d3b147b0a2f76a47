-- Whose lead it is already.
select person_id
from person_outcomes
where
    lead_id = :lead_id
    and outcome = 'created'
