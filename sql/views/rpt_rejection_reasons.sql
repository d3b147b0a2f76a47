-- One row a UTC day, rule and field: what persons were rejected for, and what to do about it.
-- person_count: persons that broke the rule that day
-- still_rejected_count: of them: still rejected now
-- retryable_count: of them: may succeed unchanged when tried again
with

rejects as (

    select * from fct_rejected_persons

),

rules as (

    select * from dim_rejection_rules

),

daily as (

    select
        rejected_date,
        stage,
        rule_name,
        field_name,
        count(distinct person_id) as person_count,
        count(distinct person_id) filter (where is_still_rejected) as still_rejected_count,
        count(distinct person_id) filter (where is_retryable) as retryable_count
    from rejects
    group by rejected_date, stage, rule_name, field_name

),

explained as (

    select
        ---------- ids
        daily.rejected_date,
        daily.rule_name,
        daily.field_name,

        ---------- attributes
        daily.stage,
        rules.description,
        rules.remedy,

        ---------- measures
        daily.person_count,
        daily.still_rejected_count,
        daily.retryable_count
    from daily
    inner join rules
        on daily.rule_name = rules.rule_name

)

select * from explained
