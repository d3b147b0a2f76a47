-- One row a resolution of a held person, without the note, which may contain personal data.
-- resolved_by: the human who decided; NONE when a run found the lead
-- has_note: whether a note was given
-- resolved_date: the UTC day of resolved_at
select
    ---------- ids
    run_id,
    person_id,
    held_run_id,
    batch_id,
    lead_id,

    ---------- attributes
    resolved_as,
    held_reason,
    coalesce(resolved_by, 'NONE') as resolved_by,
    is_automatic,
    note is not null as has_note,

    ---------- dates
    date(resolved_at) as resolved_date,
    resolved_at
from resolutions
