-- One row a person in an open batch: since when, in which batch state and in which job.
select
    ---------- ids
    person_claims.person_id,
    person_claims.batch_id,
    person_claims.run_id,
    lead_batches.salesforce_job_id,

    ---------- attributes
    lead_batches.batch_state,
    person_claims.owner_strategy,
    lead_batches.operation,
    lead_batches.sobject,
    lead_batches.load_api,

    ---------- measures
    person_claims.attempt_count,

    ---------- dates
    person_claims.claimed_at,
    lead_batches.lease_until
from person_claims
left join lead_batches
    on person_claims.batch_id = lead_batches.batch_id
