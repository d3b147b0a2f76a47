-- The e-mail addresses that persons in the ledger have claimed.

-- name: create_requested_emails
-- Create the table of e-mail hashes to look up, so that one statement looks all of them up.
create temporary table requested_emails (
    email_hash text not null
);

-- name: email_claims
-- List which person has claimed each e-mail, with that person's lead or contact, and whether this run recorded it.
select
    person_emails.email_hash,
    person_emails.person_id,
    coalesce(person_outcomes.lead_id, person_claims.lead_id) as lead_id,
    coalesce(person_outcomes.contact_id, person_claims.contact_id) as contact_id,
    person_emails.run_id = :run_id as is_this_run

from requested_emails

inner join person_emails on requested_emails.email_hash = person_emails.email_hash

left join person_outcomes on person_emails.person_id = person_outcomes.person_id

left join person_claims on person_emails.person_id = person_claims.person_id;
