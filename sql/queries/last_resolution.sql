-- The last word that was said on a person.
select
    run_id,
    resolved_as,
    is_automatic,
    resolved_by,
    note,
    lead_id,
    held_run_id,
    held_reason,
    resolved_at
from resolutions
where person_id = :person_id
order by resolved_at desc, run_id desc
limit 1
