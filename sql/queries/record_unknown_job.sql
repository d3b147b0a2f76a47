-- Remembers a job that this ledger did not open, so that it is a stranger no more.
insert into salesforce_jobs (
    salesforce_job_id,
    batch_id,
    attempt,
    opened_at,
    end_state,
    processed_count,
    failed_count
) values (
    :salesforce_job_id,
    'NONE',
    0,
    :opened_at,
    :end_state,
    :processed_count,
    :failed_count
)
on conflict (salesforce_job_id) do nothing
