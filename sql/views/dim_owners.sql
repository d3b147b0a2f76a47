-- One row an owner to whom Salesforce has assigned at least one person's lead, with the latest name.
-- owner_id: Salesforce's id of the user or queue
-- owner_name: the name that was read last
-- owner_type: user or queue; NONE when it was not read back
-- first_seen_at: UTC; the earliest decision that named this owner
-- last_seen_at: UTC; the latest
with

owned as (

    select
        owner_id,
        owner_name,
        owner_type,
        decided_at,
        min(decided_at) over (partition by owner_id) as first_seen_at,
        row_number() over (
            partition by owner_id
            order by decided_at desc, person_id asc
        ) as nth_latest
    from person_outcomes
    where owner_id is not null

),

latest as (

    select
        owner_id,
        coalesce(owner_name, 'NONE') as owner_name,
        coalesce(owner_type, 'NONE') as owner_type,
        first_seen_at,
        decided_at as last_seen_at
    from owned
    where nth_latest = 1

)

select * from latest
