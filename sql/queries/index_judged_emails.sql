-- Only where somebody is judged again: without it PostgreSQL compares each duplicate with every person judged.
create index judged_persons_by_email on judged_persons (email_hash)
