-- Jobs of a batch that were aborted before they were started: of these nobody asked for counts.
select count(*) as job_count
from salesforce_jobs
where
    batch_id = :batch_id
    and end_state = 'Aborted'
    and processed_count is null
