-- How a job ended, and what it says it has done.
update salesforce_jobs
set
    end_state = :end_state,
    processed_count = :processed_count,
    failed_count = :failed_count
where salesforce_job_id = :salesforce_job_id
