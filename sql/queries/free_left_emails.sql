-- Who leaves without a word or rejected holds no e-mail any more.
delete from person_emails
where person_id in (
    select leaving_persons.person_id
    from leaving_persons
    where
        leaving_persons.outcome is null
        or leaving_persons.outcome = 'rejected'
)
