-- The persons judged that this judgement does not get.
select
    person_id,
    fate

from judged_persons

where fate <> 'kept'

order by person_id
