-- A place in this transaction for the rules broken, so that they meet what is already written.
create temporary table found_rejections (
    person_id text not null,
    rule_name text not null,
    stage text not null,
    field_name text,
    observed_value text,
    message text not null,
    is_retryable boolean not null
)
