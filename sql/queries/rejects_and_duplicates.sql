-- What is wrong with a person and which records a person matched.

-- name: create_found_rejections
-- Create the table of rule violations. COPY cannot say `on conflict`, so rows go through it.
create temporary table found_rejections (
    person_id text not null,
    rule_name text not null,
    stage text not null,
    field_name text,
    observed_value text,
    message text not null,
    is_retryable boolean not null
);

-- name: record_rejections
-- Insert or update the violations of a run. If a person breaks a rule twice in a run, the last violation is kept.
insert into rejected_persons (
    run_id,
    person_id,
    rule_name,
    stage,
    field_name,
    observed_value,
    message,
    is_retryable,
    rejected_at
)
select
    :run_id,
    person_id,
    rule_name,
    stage,
    field_name,
    observed_value,
    message,
    is_retryable,
    :now

from found_rejections

where true

on conflict (run_id, person_id, rule_name) do update
    set
        stage = excluded.stage,
        field_name = excluded.field_name,
        observed_value = excluded.observed_value,
        message = excluded.message,
        is_retryable = excluded.is_retryable,
        rejected_at = excluded.rejected_at;

-- name: create_found_duplicates
-- Create the table of matched records. COPY cannot say `on conflict`, so rows go through it.
create temporary table found_duplicates (
    person_id text not null,
    matched_in text not null,
    matched_id text not null,
    match_key text not null,
    matched_count integer not null,
    is_ambiguous boolean not null,
    action_taken text not null
);

-- name: record_duplicates
-- Insert or update the matches of a run. If a record is matched twice in a run, the last match is kept.
insert into duplicate_persons (
    run_id,
    person_id,
    matched_in,
    matched_id,
    match_key,
    matched_count,
    is_ambiguous,
    action_taken,
    found_at
)
select
    :run_id,
    person_id,
    matched_in,
    matched_id,
    match_key,
    matched_count,
    is_ambiguous,
    action_taken,
    :now

from found_duplicates

where true

on conflict (run_id, person_id, matched_in, matched_id) do update
    set
        match_key = excluded.match_key,
        matched_count = excluded.matched_count,
        is_ambiguous = excluded.is_ambiguous,
        action_taken = excluded.action_taken,
        found_at = excluded.found_at;
