-- Whether a reading has a record with a person id at all.
select
    exists(
        select 1
        from org_record_keys
        where
            fill_number = :fill_number
            and key_number < 0
    ) as has_person_ids
