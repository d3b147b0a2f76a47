-- Marks the persons judged whom another run decided between our look and our claim.
update judged_persons
set fate = 'taken'
where attempt_count <> coalesce(
    (
        select person_outcomes.attempt_count
        from person_outcomes
        where person_outcomes.person_id = judged_persons.person_id
    ),
    0
)
