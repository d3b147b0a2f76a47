-- A place in this transaction for the e-mails looked up, so that they are asked for by one statement.
create temporary table asked_emails (
    email_hash text not null
)
