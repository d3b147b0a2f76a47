-- Gives a reading to a run to write, whoever had it.
update known_record_fills
set
    holder_run_id = :run_id,
    held_until = :held_until
where fill_number = :fill_number
