-- Marks the duplicates whose reason an earlier slice of their own run has changed since they were looked at.
-- A person holds their e-mail who did not, or nobody does any more: they have to be judged again.
update judged_persons
set fate = 'released'
where
    fate = 'kept'
    and outcome = 'duplicate'
    and email_hash is not null
    and (
        (
            is_email_taken
            and exists (
                select 1
                from person_emails
                where
                    person_emails.email_hash = judged_persons.email_hash
                    and person_emails.person_id <> judged_persons.person_id
            )
        )
        or (
            not is_email_taken
            and not exists (
                select 1
                from person_emails
                where person_emails.email_hash = judged_persons.email_hash
            )
        )
    )
