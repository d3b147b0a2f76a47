-- Says up to where a reading is complete, counts it, and lets go of it.
update known_record_fills
set
    is_whole = true,
    lead_until = :lead_until,
    contact_until = :contact_until,
    record_count = (
        select count(*)
        from known_records
        where known_records.fill_number = :fill_number
    ),
    holder_id = null,
    holder_run_id = null,
    held_until = null,
    looked_at = :now
where
    fill_number = :fill_number
    and holder_id = :holder_id
