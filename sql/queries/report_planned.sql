-- Of each owner strategy and owner, what a plan run would do with how many persons.
select
    coalesce(owner_strategy, 'NONE') as owner_strategy,
    coalesce(owner_name, 'NONE') as owner_name,
    decision,
    count(*) as person_count
from planned_persons
where run_id = :run_id
group by coalesce(owner_strategy, 'NONE'), coalesce(owner_name, 'NONE'), decision
order by owner_strategy, owner_name, decision
