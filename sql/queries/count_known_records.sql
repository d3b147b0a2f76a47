-- How many records of one kind there are, living and deleted, of those made until then.
select
    is_deleted,
    count(*) as record_count
from known_records
where
    fill_number = :fill_number
    and sobject = :sobject
    and created_at <= :created_until
group by is_deleted
