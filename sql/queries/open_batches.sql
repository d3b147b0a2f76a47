-- The batches that still hold persons, who carries them, and whether the time given for it is over.
select
    lead_batches.batch_id,
    lead_batches.run_id,
    lead_batches.leased_by_run_id,
    lead_batches.salesforce_job_id,

    lead_batches.batch_state,
    lead_batches.owner_strategy,
    lead_batches.operation,
    lead_batches.sobject,
    lead_batches.load_api,
    sync_runs.run_state as leased_by_state,
    sync_runs.process_host,
    sync_runs.process_id,
    lead_batches.lease_until <= :now as is_lease_over,

    lead_batches.fencing_token,
    lead_batches.attempt_count,
    lead_batches.person_count,

    lead_batches.planned_at,
    lead_batches.opened_at,
    lead_batches.submitted_at,
    lead_batches.lease_until

from lead_batches

left join sync_runs on lead_batches.leased_by_run_id = sync_runs.run_id

where lead_batches.batch_state <> 'completed'

order by lead_batches.planned_at, lead_batches.batch_id
