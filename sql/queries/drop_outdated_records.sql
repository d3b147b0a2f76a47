-- Drops what was known of records that have been read again. Their keys stay, and lead to nothing.
delete from org_records
where
    fill_number = :fill_number
    and record_id in (select fresh_records.record_id from fresh_records)
