-- The known records with one of the key numbers; whether their keys are those asked for is seen by who asks.
select
    known_record_keys.key_number < 0 as is_by_person_id,
    known_records.email_key,
    known_records.person_id,
    known_records.record_id,
    known_records.sobject,
    known_records.is_converted,
    known_records.is_deleted,
    known_records.converted_contact_id,
    known_records.created_at,
    known_records.owner_id

from match_keys

-- SQLite keeps to the order of a cross join; left to itself it goes through all keys of the mirror.
cross join known_record_keys
cross join known_records

where
    known_record_keys.fill_number = :fill_number
    and match_keys.key_number = known_record_keys.key_number
    and known_record_keys.position = known_records.position
    and known_record_keys.fill_number = known_records.fill_number
    -- The position may have been another record's.
    and known_record_keys.key_number in (known_records.email_number, known_records.person_number)
