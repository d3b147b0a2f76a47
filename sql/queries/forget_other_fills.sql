-- Forgets every reading but one; their records are refuse from now on.
delete from known_record_fills
where fill_number <> :fill_number
