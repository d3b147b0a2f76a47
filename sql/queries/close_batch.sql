-- opened → closing (planned → closing without a job): from here on records may exist.
update lead_batches
set
    batch_state = 'closing',
    closing_at = :now
where
    batch_id = :batch_id
    and fence = :fence
    and holder_run_id = :holder_run_id
    and batch_state = :seen_state
returning *
