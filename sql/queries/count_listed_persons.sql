-- Counts whom a run had set out to read: all, those of other runs, and those whom no run has got.
with

listed as (

    select
        person_claims.person_id is null
        and planned_persons.person_id is null
        and coalesce(person_outcomes.attempt_count, 0) <= run_persons.attempt_count as is_unread,
        coalesce(planned_persons.run_id, person_claims.run_id, person_outcomes.run_id) as by_run_id

    from run_persons

    left join person_claims on run_persons.person_id = person_claims.person_id

    left join person_outcomes on run_persons.person_id = person_outcomes.person_id

    left join planned_persons
        on
            run_persons.run_id = planned_persons.run_id
            and run_persons.person_id = planned_persons.person_id

    where run_persons.run_id = :run_id

),

counted as (

    select
        count(*) as listed_count,
        count(*) filter (where not is_unread and by_run_id <> :run_id) as taken_count,
        count(*) filter (where is_unread) as unread_count

    from listed

)

update sync_runs
set
    listed_count = (select counted.listed_count from counted),
    taken_count = (select counted.taken_count from counted),
    unread_count = (select counted.unread_count from counted)
where run_id = :run_id
returning unread_count
