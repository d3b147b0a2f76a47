-- Writes down who said what of a held person, and why.
insert into resolutions (
    run_id,
    person_id,
    resolved_as,
    is_automatic,
    resolved_by,
    note,
    lead_id,
    held_run_id,
    batch_id,
    held_reason,
    resolved_at
) values (
    :run_id,
    :person_id,
    :resolved_as,
    :is_automatic,
    :resolved_by,
    :note,
    :lead_id,
    :held_run_id,
    :batch_id,
    :held_reason,
    :resolved_at
)
