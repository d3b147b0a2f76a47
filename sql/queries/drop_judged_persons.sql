-- The transaction has no more use for the persons judged.
drop table judged_persons
