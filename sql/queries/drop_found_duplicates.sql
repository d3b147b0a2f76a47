-- The transaction has no more use for the records matched.
drop table found_duplicates
