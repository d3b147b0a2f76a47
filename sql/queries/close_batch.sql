-- opened → closing (planned → closing without a job): from here on records may exist.
update lead_batches
set
    batch_state = 'submitted',
    submitted_at = :now
where
    batch_id = :batch_id
    and fencing_token = :fencing_token
    and leased_by_run_id = :leased_by_run_id
    and batch_state = :seen_state
returning *
