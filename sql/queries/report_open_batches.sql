-- The batches that still hold persons of a run.
select
    batch_id,
    run_id,
    salesforce_job_id,
    batch_state,
    owner_strategy,
    operation,
    sobject,
    load_api,
    attempt_count,
    person_count,
    planned_at,
    submitted_at,
    lease_until
from lead_batches
where
    batch_state <> 'completed'
    and run_id = :run_id
order by planned_at, batch_id
