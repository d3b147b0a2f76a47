-- Back to planned for one more attempt, without a job.
update lead_batches
set
    batch_state = 'planned',
    attempt_count = attempt_count + :attempts,
    salesforce_job_id = null,
    opened_at = null,
    closing_at = null
where
    batch_id = :batch_id
    and fence = :fence
    and holder_run_id = :holder_run_id
    and batch_state = :seen_state
returning *
