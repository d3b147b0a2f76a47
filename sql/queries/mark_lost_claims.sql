-- Marks the persons judged whom another run holds.
update judged_persons
set fate = 'taken'
where not exists (
    select 1
    from person_claims
    where
        person_claims.person_id = judged_persons.person_id
        and person_claims.batch_id = judged_persons.batch_id
)
