-- What was to be done beside a matched record was not done: the match is no duplicate's report then.
delete from duplicate_persons
where
    run_id = :run_id
    and person_id in (
        select leaving_persons.person_id
        from leaving_persons
        where
            leaving_persons.outcome is null
            or leaving_persons.outcome in ('rejected', 'held')
    )
