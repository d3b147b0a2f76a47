-- A rule of ours was broken that has no sentence for a steward.
with

unchecked as (

    select run_id from sync_runs
    where checked_revision is null or checked_revision <> revision

    union

    select cast(:run_id as text) as run_id

),

wordless as (

    select
        rule_name,
        stage,
        count(*) as reject_count
    from rejected_persons
    where
        run_id in (select unchecked.run_id from unchecked)
        and stage in ('validation', 'owner')
        and not exists (
            select 1
            from rejection_rules
            where rejection_rules.rule_name = rejected_persons.rule_name
        )
    group by rule_name, stage

)

select * from wordless
