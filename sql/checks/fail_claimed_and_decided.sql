-- A person is in flight who has a lead already, or about whom nobody can know.
select
    person_claims.person_id,
    person_claims.batch_id,
    person_outcomes.outcome,
    person_outcomes.lead_id
from person_claims
inner join person_outcomes
    on person_claims.person_id = person_outcomes.person_id
where person_outcomes.outcome in ('created', 'updated', 'held')
