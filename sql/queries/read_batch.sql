-- A batch as it stands.
select * from lead_batches
where batch_id = :batch_id
