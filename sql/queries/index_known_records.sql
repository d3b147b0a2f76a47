-- Enters records of a reading into its keys, in the order of the keys: the quickest there is to write.
insert into org_record_keys (fill_number, key_number, position)
select
    arrived.fill_number,
    arrived.key_number,
    arrived.position

from (
    select
        fill_number,
        email_number as key_number,
        position
    from org_records
    where
        position between :first_position and :last_position
        and fill_number = :fill_number
        and email_number is not null
    union all
    select
        fill_number,
        person_number as key_number,
        position
    from org_records
    where
        position between :first_position and :last_position
        and fill_number = :fill_number
        and person_number is not null
) as arrived

order by
    arrived.key_number,
    arrived.position

-- A position may have been another record's, with the same key, which is left as it was.
on conflict do nothing
