-- Which batches of earlier runs a run has taken over, and what became of their persons.
select
    batch_id,
    run_id,
    salesforce_job_id,
    batch_state,
    attempt_count,
    person_count as open_count,
    created_count,
    updated_count,
    duplicate_count,
    rejected_count,
    held_count
from lead_batches
where
    leased_by_run_id = :run_id
    and run_id <> :run_id
order by planned_at, batch_id
