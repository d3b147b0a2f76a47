-- The transaction has no more use for the rules broken.
drop table found_rejections
