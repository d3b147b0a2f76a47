-- The readings of the org there are, and whether a run that is still under way holds each.
select
    known_record_fills.fill_number,
    known_record_fills.org_id,
    known_record_fills.person_id_field,
    known_record_fills.is_whole,
    known_record_fills.lead_until,
    known_record_fills.contact_until,
    known_record_fills.record_count,
    known_record_fills.looked_at,
    coalesce(known_record_fills.held_until > :now and sync_runs.run_state = 'running', false) as is_held

from known_record_fills

left join sync_runs on known_record_fills.holder_run_id = sync_runs.run_id

order by known_record_fills.begun_at desc, known_record_fills.fill_number
