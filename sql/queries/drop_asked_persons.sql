-- The transaction has no more use for the persons asked for.
drop table asked_persons
