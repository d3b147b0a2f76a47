-- Takes every reading out of the hands that had it.
update known_record_fills
set
    holder_id = null,
    holder_run_id = null,
    held_until = null
where holder_id is not null
