-- Takes the e-mails that are free, in one order for all runs, so that none waits in a circle.
insert into person_emails (email_key, person_id, run_id, held_at)
select
    email_key,
    person_id,
    :run_id,
    :now

from judged_persons

where
    is_email_taken
    and email_key is not null
    and fate = 'kept'

order by email_key, person_id

on conflict (email_key) do nothing
