-- One row a rule: those we have a sentence for, and every status code Salesforce has refused with.
-- field_name: the persons column it looks at; NONE when it is about several
with

explained as (

    select
        rule_name,
        stage,
        coalesce(field_name, 'NONE') as field_name,
        sentence,
        remedy
    from rejection_rules

),

met as (

    select distinct
        rule_name,
        stage
    from rejected_persons
    where
        not exists (
            select 1
            from rejection_rules
            where rejection_rules.rule_name = rejected_persons.rule_name
        )

),

all_rules as (

    select * from explained

    union all

    select
        rule_name,
        min(stage) as stage,
        'NONE' as field_name,
        'Salesforce refused with this status code.' as sentence,
        'Look the code up in Salesforce''s list of status codes.' as remedy
    from met
    group by rule_name

)

select * from all_rules
