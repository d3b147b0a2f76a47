-- This person holds no e-mail any more.
delete from person_emails
where person_id = :person_id
