-- Of the outcomes only the held ones are ever asked for by themselves.

-- An index of all outcomes had five values for everybody, and cost each row a place in it.
drop index person_outcomes_by_outcome;

create index person_outcomes_held on person_outcomes (person_id)
where outcome = 'held';
