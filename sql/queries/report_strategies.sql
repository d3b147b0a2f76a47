-- Of each owner strategy, how many persons of a run ended how; open ones are still in a batch.
with

judged as (

    select
        owner_strategy,
        outcome
    from person_outcomes
    where run_id = :run_id

    union all

    select
        owner_strategy,
        'open' as outcome
    from person_claims
    where run_id = :run_id

),

counted as (

    select
        coalesce(owner_strategy, 'NONE') as owner_strategy,
        outcome,
        count(*) as person_count
    from judged
    group by coalesce(owner_strategy, 'NONE'), outcome

)

select * from counted
order by owner_strategy, outcome
