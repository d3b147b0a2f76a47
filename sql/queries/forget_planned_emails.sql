-- Lets go the e-mails a plan run had only noted for itself.
delete from person_emails
where
    run_id = :run_id
    and email_hash like 'plan:%'
    and person_id in (
        select run_persons.person_id
        from run_persons
        inner join sync_runs on run_persons.run_id = sync_runs.run_id
        where
            run_persons.run_id = :run_id
            and sync_runs.run_mode = 'plan'
    )
