-- Who got how many of the leads that a run created or updated.
select
    owner_id,
    owner_strategy,
    max(owner_name) as owner_name,
    max(owner_type) as owner_type,
    count(*) filter (where outcome = 'created') as created_count,
    count(*) filter (where outcome = 'updated') as updated_count
from person_outcomes
where
    run_id = :run_id
    and outcome in ('created', 'updated')
group by owner_id, owner_strategy
order by created_count desc, owner_id asc, owner_strategy asc
