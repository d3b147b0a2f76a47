-- Who is held and in no batch, whether or not somebody has said that they be sent again.
select person_id
from person_outcomes
where
    outcome = 'held'
    and not exists (
        select 1
        from person_claims
        where person_claims.person_id = person_outcomes.person_id
    )
