-- A batch has been open for more than a day.
select
    batch_id,
    batch_state,
    salesforce_job_id,
    person_count,
    planned_at
from lead_batches
where
    batch_state <> 'completed'
    and planned_at < :a_day_ago
