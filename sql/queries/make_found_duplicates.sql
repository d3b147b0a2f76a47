-- A place in this transaction for the records matched, so that they meet what is already written.
create temporary table found_duplicates (
    person_id text not null,
    matched_in text not null,
    matched_id text not null,
    match_key text not null,
    matched_count integer not null,
    is_ambiguous boolean not null,
    action_taken text not null
)
