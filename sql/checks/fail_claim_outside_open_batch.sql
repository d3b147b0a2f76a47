-- A person is in flight, and no open batch carries them.
select
    person_claims.person_id,
    person_claims.batch_id,
    lead_batches.batch_state
from person_claims
left join lead_batches
    on person_claims.batch_id = lead_batches.batch_id
where
    lead_batches.batch_id is null
    or lead_batches.batch_state = 'settled'
