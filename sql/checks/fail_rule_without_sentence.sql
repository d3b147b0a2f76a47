-- A rule of ours was broken that has no sentence for a steward.
select
    rule_name,
    stage,
    count(*) as reject_count
from rejected_persons
where
    stage in ('validation', 'owner')
    and not exists (
        select 1
        from rejection_rules
        where rejection_rules.rule_name = rejected_persons.rule_name
    )
group by rule_name, stage
