-- Writes down of which held persons a run has found the lead by itself.
insert into resolutions (
    run_id,
    person_id,
    resolved_as,
    is_automatic,
    lead_id,
    held_run_id,
    batch_id,
    held_reason,
    resolved_at
)
select
    :run_id,
    found_leads.person_id,
    'created',
    true,
    found_leads.lead_id,
    person_outcomes.run_id,
    person_outcomes.batch_id,
    coalesce(person_outcomes.reason_code, ''),
    :now

from found_leads

inner join person_outcomes on found_leads.person_id = person_outcomes.person_id

where
    person_outcomes.outcome = 'held'
    and not exists (
        select 1
        from person_claims
        where person_claims.person_id = found_leads.person_id
    )
