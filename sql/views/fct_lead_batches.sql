-- One row a batch.
-- is_open: whether some of its persons have no outcome yet
-- job_count: Bulk API 2.0 jobs created for it, discarded ones included
-- planned_date: the UTC day of planned_at
with

jobs as (

    select
        batch_id,
        count(*) as job_count
    from salesforce_jobs
    group by batch_id

),

batches as (

    select
        ---------- ids
        lead_batches.batch_id,
        lead_batches.run_id,
        lead_batches.salesforce_job_id,
        lead_batches.assignment_rule_id,

        ---------- attributes
        lead_batches.batch_state,
        lead_batches.owner_strategy,
        lead_batches.operation,
        lead_batches.sobject,
        lead_batches.load_api,
        lead_batches.allow_duplicates,
        lead_batches.batch_state <> 'completed' as is_open,

        ---------- measures
        lead_batches.person_count,
        lead_batches.created_count,
        lead_batches.updated_count,
        lead_batches.duplicate_count,
        lead_batches.rejected_count,
        lead_batches.held_count,
        lead_batches.attempt_count,
        coalesce(jobs.job_count, 0) as job_count,
        lead_batches.payload_bytes,

        ---------- dates
        date(lead_batches.planned_at) as planned_date,
        lead_batches.planned_at,
        lead_batches.opened_at,
        lead_batches.submitted_at,
        lead_batches.completed_at
    from lead_batches
    left join jobs
        on lead_batches.batch_id = jobs.batch_id

)

select * from batches
