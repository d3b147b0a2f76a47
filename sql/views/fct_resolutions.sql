-- One row a word on a held person, without the note that may describe them.
-- resolved_by: who said it; NONE when a run found the lead by itself
-- has_note: whether they said why
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
