-- A place in this transaction for records read again: what was known of them goes.
create temporary table fresh_records (
    record_id text not null primary key
)
