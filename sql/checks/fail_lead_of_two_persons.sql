-- One lead was created for two persons.
select
    lead_id,
    count(*) as person_count
from person_outcomes
where
    outcome = 'created'
    and lead_id is not null
group by lead_id
having count(*) > 1
