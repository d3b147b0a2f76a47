-- The persons a batch holds, and by what their answers are known.
select
    person_id,
    lead_id,
    contact_id,
    row_hash,
    reason_code

from person_claims

where batch_id = :batch_id
