-- Takes the e-mails that are free, in one order for all runs, so that none waits in a circle.
insert into person_emails (email_hash, person_id, run_id, claimed_at)
select
    email_hash,
    person_id,
    :run_id,
    :now

from judged_persons

where
    is_email_taken
    and email_hash is not null
    and fate = 'kept'

order by email_hash, person_id

on conflict (email_hash) do nothing
