-- Drops the records of one kind that a second reading should have told again and did not: they were there before it
-- began, and are no more. Asked for again were those made since then, or the deleted ones.
delete from known_records
where
    fill_id = :fill_id
    and sobject = :sobject
    and position < :first_position
    and (
        (:is_of_deleted and is_deleted)
        or (not :is_of_deleted and created_at >= :created_from)
    )
