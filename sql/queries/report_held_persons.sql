-- The persons about whom only a human can say what became of them.
select
    person_outcomes.person_id,
    person_outcomes.run_id,
    person_outcomes.batch_id,
    salesforce_jobs.salesforce_job_id,
    person_outcomes.owner_strategy,
    person_outcomes.reason_code,
    person_outcomes.decided_at
from person_outcomes
left join salesforce_jobs
    on
        person_outcomes.batch_id = salesforce_jobs.batch_id
        and salesforce_jobs.attempt = (
            select max(latest.attempt)
            from salesforce_jobs as latest
            where latest.batch_id = person_outcomes.batch_id
        )
where
    person_outcomes.outcome = 'held'
    -- Of the others a human has said that they be sent again.
    and coalesce(person_outcomes.reason_code, '') <> 'RESEND'
order by person_outcomes.decided_at, person_outcomes.person_id
limit :most
