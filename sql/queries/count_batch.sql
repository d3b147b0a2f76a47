-- Adds the outcomes that a batch's persons have just got, and says how many it still holds. Also locks the batch.
update lead_batches
set
    person_count = person_count - :leaving_count,
    created_count = created_count + :created_count,
    updated_count = updated_count + :updated_count,
    duplicate_count = duplicate_count + :duplicate_count,
    rejected_count = rejected_count + :rejected_count,
    held_count = held_count + :held_count
where
    batch_id = :batch_id
    and fencing_token = :fencing_token
    and leased_by_run_id = :leased_by_run_id
    and batch_state = :seen_state
returning *
