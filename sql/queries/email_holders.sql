-- Who holds these e-mails, with what lead or contact, and whether this run gave it to them.
select
    person_emails.email_hash,
    person_emails.person_id,
    coalesce(person_outcomes.lead_id, person_claims.lead_id) as lead_id,
    coalesce(person_outcomes.contact_id, person_claims.contact_id) as contact_id,
    person_emails.run_id = :run_id as is_this_run

from asked_emails

inner join person_emails on asked_emails.email_hash = person_emails.email_hash

left join person_outcomes on person_emails.person_id = person_outcomes.person_id

left join person_claims on person_emails.person_id = person_claims.person_id
