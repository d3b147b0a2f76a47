-- The rules a person can break, in words.
select
    rule_name,
    stage,
    field_name,
    sentence,
    remedy
from rejection_rules
order by stage, rule_name
