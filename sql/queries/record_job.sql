-- Remembers a job for ever, so that none of ours is ever a stranger.
insert into salesforce_jobs (salesforce_job_id, batch_id, attempt, opened_at)
values (:salesforce_job_id, :batch_id, :attempt, :now)
