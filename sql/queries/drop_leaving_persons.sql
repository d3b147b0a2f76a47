-- The transaction has no more use for the persons who leave.
drop table leaving_persons
