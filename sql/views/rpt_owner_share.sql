-- One row a strategy and owner: how many of the created leads the owner received.
-- owner_id: Salesforce's id of the user or queue; NONE when it was not read back
-- created_count: persons whose lead was created for this owner by this strategy
-- created_share: of all created by this strategy, 0 to 1
-- last_created_at: UTC; the latest of them
with

outcomes as (

    select * from fct_person_outcomes

),

owned as (

    select
        owner_strategy,
        coalesce(owner_id, 'NONE') as owner_id,
        max(owner_name) as owner_name,
        max(owner_type) as owner_type,
        count(*) as created_count,
        max(decided_at) as last_created_at
    from outcomes
    where outcome = 'created'
    group by owner_strategy, coalesce(owner_id, 'NONE')

),

shared as (

    select
        ---------- ids
        owner_strategy,
        owner_id,

        ---------- attributes
        owner_name,
        owner_type,

        ---------- measures
        created_count,
        1.0 * created_count / sum(created_count) over (partition by owner_strategy)
            as created_share,

        ---------- dates
        last_created_at
    from owned

)

select * from shared
