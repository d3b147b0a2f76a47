-- Empties the list of persons a run had set out to read.
delete from run_persons
where run_id = :run_id
