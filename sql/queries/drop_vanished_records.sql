-- Drops the records of one kind that a second reading should have told again and did not: they are no more.
-- Asked for again were those made since then, or the deleted ones.
delete from org_records
where
    fill_number = :fill_number
    and sobject = :sobject
    and position < :first_position
    and (
        (:is_of_deleted and is_deleted)
        or (not :is_of_deleted and created_at >= :created_from)
    )
