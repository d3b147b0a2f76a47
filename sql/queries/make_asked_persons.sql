-- A place in this transaction for the persons asked for by their ids.
create temporary table asked_persons (
    person_id text not null primary key
)
