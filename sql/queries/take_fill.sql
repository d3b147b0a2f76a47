-- Gives a reading to one worker of a run to write on.
update known_record_fills
set
    holder_id = :holder_id,
    holder_run_id = :run_id,
    held_until = :held_until
where fill_number = :fill_number
