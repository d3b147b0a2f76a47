-- What persons of a run were rejected for, most frequent first; a person counts once a rule.
with

counted as (

    select
        rule_name,
        stage,
        coalesce(field_name, 'NONE') as field_name,
        count(distinct person_id) as person_count,
        count(distinct person_id) filter (where is_retryable) as retryable_count
    from rejected_persons
    where run_id = :run_id
    group by rule_name, stage, coalesce(field_name, 'NONE')

),

explained as (

    select
        counted.rule_name,
        counted.stage,
        counted.field_name,
        -- Salesforce's own words may quote the person: only sentences of ours are told.
        coalesce(rejection_rules.sentence, 'Salesforce refused with this status code.') as sentence,
        coalesce(rejection_rules.remedy, 'Look the code up in Salesforce''s list of status codes.') as remedy,
        counted.person_count,
        counted.retryable_count
    from counted
    left join rejection_rules
        on counted.rule_name = rejection_rules.rule_name

)

select * from explained
order by person_count desc, rule_name asc, field_name asc
