-- The held persons whose lead was found have it.
update person_outcomes
set
    outcome = 'created',
    run_id = :run_id,
    lead_id = found_leads.lead_id,
    owner_id = found_leads.owner_id,
    owner_name = found_leads.owner_name,
    owner_type = found_leads.owner_type,
    reason_code = found_leads.reason_code,
    attempt_count = attempt_count + 1,
    decided_at = :now
from found_leads
where
    found_leads.person_id = person_outcomes.person_id
    and person_outcomes.outcome = 'held'
    and exists (
        select 1
        from resolutions
        where
            resolutions.run_id = :run_id
            and resolutions.person_id = person_outcomes.person_id
    )
