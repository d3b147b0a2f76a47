-- Persons wait for a decision by `person-sync resolve`.
select
    person_id,
    batch_id,
    reason_code
from person_outcomes
where
    outcome = 'held'
    and coalesce(reason_code, '') <> 'RESEND'
