-- Forgets the readings that never became whole; their records are refuse from now on.
delete from known_record_fills
where not is_whole
