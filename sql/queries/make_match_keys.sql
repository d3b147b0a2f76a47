-- A place in this transaction for the keys of the persons to be matched.
create temporary table match_keys (
    key_number bigint not null,
    email_key text,
    person_id text
)
