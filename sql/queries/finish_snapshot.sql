-- Says up to where a reading is complete, counts it, and lets go of it.
update org_snapshots
set
    is_whole = true,
    lead_until = :lead_until,
    contact_until = :contact_until,
    record_count = :record_count,
    holder_id = null,
    leased_by_run_id = null,
    held_until = null,
    looked_at = :now
where
    fill_number = :fill_number
    and holder_id = :holder_id
