-- The transaction has no more use for the leads found.
drop table found_leads
