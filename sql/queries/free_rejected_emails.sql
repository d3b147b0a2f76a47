-- A rejected person holds no e-mail, so that the next one with it gets a chance.
delete from person_emails
where person_id in (
    select judged_persons.person_id
    from judged_persons
    where
        judged_persons.fate = 'kept'
        and judged_persons.outcome = 'rejected'
)
