-- How many persons wait for a human's word.
select count(*) as held_count
from person_outcomes
where
    outcome = 'held'
    and coalesce(reason_code, '') <> 'RESEND'
