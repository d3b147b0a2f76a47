-- planned → opened: a job is known for this batch, and it has no data yet.
update lead_batches
set
    batch_state = 'uploading',
    salesforce_job_id = :salesforce_job_id,
    payload_sha256 = :payload_sha256,
    payload_bytes = :payload_bytes,
    opened_at = :now
where
    batch_id = :batch_id
    and fencing_token = :fencing_token
    and leased_by_run_id = :leased_by_run_id
    and batch_state = :seen_state
returning *
