-- A person broke a rule of ours that has no description for a steward.
with

without_description as (

    select
        rule_name,
        stage,
        count(*) as reject_count
    from rejected_persons
    where
        run_id in (select unchecked_runs.run_id from unchecked_runs)
        and stage in ('validation', 'owner')
        and not exists (
            select 1
            from rejection_rules
            where rejection_rules.rule_name = rejected_persons.rule_name
        )
    group by rule_name, stage

)

select * from without_description
