-- Marks the persons to be sent whose e-mail another person holds: they have to be judged again.
update judged_persons
set fate = 'released'
where
    is_sent
    and fate = 'kept'
    and exists (
        select 1
        from person_emails
        where
            person_emails.email_hash = judged_persons.email_hash
            and person_emails.person_id <> judged_persons.person_id
    )
