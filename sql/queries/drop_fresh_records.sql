-- The transaction has no more use for the records read again.
drop table fresh_records
