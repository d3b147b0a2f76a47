-- The temporary table of persons that a command names by id.

-- name: create_requested_persons
-- Create the table of requested ids, so that one statement looks all of them up.
create temporary table requested_persons (
    person_id text not null primary key
);
