-- The known records with one of the keys: by e-mail, or by person id to the letter.
select
    match_keys.email_key,
    match_keys.person_id,
    known_records.record_id,
    known_records.sobject,
    known_records.is_converted,
    known_records.is_deleted,
    known_records.converted_contact_id,
    known_records.created_at,
    known_records.owner_id

from match_keys

inner join known_record_keys
    on
        match_keys.key_number = known_record_keys.key_number
        and known_record_keys.fill_number = :fill_number

inner join known_records
    on
        known_record_keys.position = known_records.position
        and known_record_keys.fill_number = known_records.fill_number

where
    match_keys.email_key = known_records.email_key
    or match_keys.person_id = known_records.person_id
