-- Every job we ever opened.
select salesforce_job_id from salesforce_jobs
