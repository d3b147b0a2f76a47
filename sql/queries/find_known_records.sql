-- The known records with one of the key numbers; whether their keys are those asked for is seen by who asks.
select
    org_record_keys.key_number < 0 as is_by_person_id,
    org_records.email_hash,
    org_records.person_id,
    org_records.record_id,
    org_records.sobject,
    org_records.is_converted,
    org_records.is_deleted,
    org_records.converted_contact_id,
    org_records.created_at,
    org_records.owner_id

from match_keys

-- SQLite keeps to the order of a cross join; left to itself it goes through all keys of the mirror.
cross join org_record_keys
cross join org_records

where
    org_record_keys.fill_number = :fill_number
    and match_keys.key_number = org_record_keys.key_number
    and org_record_keys.position = org_records.position
    and org_record_keys.fill_number = org_records.fill_number
    -- The position may have been another record's.
    and org_record_keys.key_number in (org_records.email_number, org_records.person_number)
