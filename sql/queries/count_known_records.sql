-- How many records a reading holds, and of those made until then the living and the deleted ones of each kind.
select
    count(*) as record_count,
    count(*) filter (where sobject = 'Lead') as lead_count,
    count(*) filter (
        where sobject = 'Lead' and not is_deleted and created_at <= :lead_until
    ) as living_lead_count,
    count(*) filter (
        where sobject = 'Lead' and is_deleted and created_at <= :lead_until
    ) as deleted_lead_count,
    count(*) filter (
        where sobject = 'Contact' and not is_deleted and created_at <= :contact_until
    ) as living_contact_count,
    count(*) filter (
        where sobject = 'Contact' and is_deleted and created_at <= :contact_until
    ) as deleted_contact_count
from org_records
where fill_number = :fill_number
