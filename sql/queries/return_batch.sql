-- Back to planned for one more attempt, without a job.
update lead_batches
set
    batch_state = 'pending',
    attempt_count = attempt_count + :attempts,
    salesforce_job_id = null,
    opened_at = null,
    submitted_at = null
where
    batch_id = :batch_id
    and fencing_token = :fencing_token
    and leased_by_run_id = :leased_by_run_id
    and batch_state = :seen_state
returning *
