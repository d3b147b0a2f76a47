-- The readings of the org there are, and whether a run that is still under way holds each.
select
    org_snapshots.fill_number,
    org_snapshots.org_id,
    org_snapshots.person_id_field,
    org_snapshots.is_whole,
    org_snapshots.lead_until,
    org_snapshots.contact_until,
    org_snapshots.record_count,
    org_snapshots.looked_at,
    coalesce(org_snapshots.held_until > :now and sync_runs.run_state = 'running', false) as is_held

from org_snapshots

left join sync_runs on org_snapshots.leased_by_run_id = sync_runs.run_id

order by org_snapshots.begun_at desc, org_snapshots.fill_number
