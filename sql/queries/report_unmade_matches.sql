-- A person who ends as a duplicate got no lead: their matches were only reported.
update duplicate_persons
set action_taken = 'reported'
where
    run_id = :run_id
    and person_id in (
        select leaving_persons.person_id
        from leaving_persons
        where leaving_persons.outcome = 'duplicate'
    )
