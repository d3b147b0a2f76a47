-- One row a rule: ours, and every status code with which Salesforce has rejected a record.
-- field_name: the persons column it looks at; NONE when it is about several
with

explained as (

    select
        rule_name,
        stage,
        coalesce(field_name, 'NONE') as field_name,
        description,
        remedy
    from rejection_rules

),

unknown as (

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
        'Salesforce rejected the record with this status code.' as description,
        'Look the code up in Salesforce''s list of status codes.' as remedy
    from unknown
    group by rule_name

)

select * from all_rules
