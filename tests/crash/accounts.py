"""What must be true after everything that went wrong: one SELECT, told as a reader of the reports
would see it, and the comparison with a run that nobody disturbed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy

from tests.crash.environments import Environment
from tests.steps.scenario import MISCOUNTED, WORDS

# A held person is a human's to decide and may have a lead or none: never two.
TROUBLES = f"""
with

words as ({WORDS}),

theirs as (
    select org_leads.lead_id, person_outcomes.person_id
    from org_leads inner join person_outcomes on org_leads.lead_id = person_outcomes.lead_id
    where person_outcomes.outcome = 'created'
    union
    select org_leads.lead_id, persons.person_id
    from org_leads inner join persons on org_leads.email = lower(persons.email)
    inner join person_outcomes on persons.person_id = person_outcomes.person_id
    where person_outcomes.outcome = 'held'
    {{found}}
)

select 'person without exactly one outcome or claim' as trouble, persons.person_id as whose
from persons left join words on persons.person_id = words.person_id
group by persons.person_id having count(words.person_id) <> 1
union all
select 'lead in the org without exactly one person', org_leads.lead_id
from org_leads left join theirs on org_leads.lead_id = theirs.lead_id
group by org_leads.lead_id having count(theirs.person_id) <> 1
union all
select 'more than one lead for this e-mail', org_leads.email
from org_leads group by org_leads.email having count(*) > 1
union all
select 'created, and the org has no such lead', person_outcomes.person_id
from person_outcomes left join org_leads on person_outcomes.lead_id = org_leads.lead_id
where person_outcomes.outcome = 'created' and org_leads.lead_id is null
union all
select 'the lead of somebody else', person_outcomes.person_id
from person_outcomes inner join org_leads on person_outcomes.lead_id = org_leads.lead_id
inner join persons on person_outcomes.person_id = persons.person_id
where person_outcomes.outcome = 'created' and lower(persons.email) <> org_leads.email
union all
select 'still under way when nobody carries on', person_claims.person_id from person_claims
union all
select 'run whose counts do not add up', miscounted.run_id from ({MISCOUNTED}) as miscounted
order by 1, 2
"""

# Of two persons with one e-mail the first.
FOUND = """
    union
    select org_leads.lead_id, min(duplicate_persons.person_id)
    from org_leads inner join duplicate_persons on org_leads.lead_id = duplicate_persons.matched_id
    where org_leads.lead_id not in (
        select lead_id from person_outcomes where outcome = 'created' and lead_id is not null
    )
    group by org_leads.lead_id
"""


@dataclass(frozen=True)
class PersonOutcome:
    """What a run made of a person: the outcome, who owns the lead, and why they are held if so."""

    outcome: str
    owner_id: str | None
    held_for: str | None = None


def troubles(environment: Environment, *, may_find: bool = False) -> list[str]:
    """Everything that does not add up, a line each; empty, or something is lost or doubled.

    `may_find`: a lead may also be that of somebody whose duplicate it was taken for, as after a
    restored backup, when nobody knows any more who made it.
    """
    environment.runs_accounted = len(environment.runs)
    leads = [{"lead_id": one["Id"], "email": one["Email"].lower()} for one in environment.leads()]
    with environment.connect() as connection:
        connection.execute(
            sqlalchemy.text("create temporary table org_leads (lead_id text, email text)")
        )
        if leads:
            insert = sqlalchemy.text("insert into org_leads values (:lead_id, :email)")
            connection.execute(insert, leads)
        # Without, a hundred thousand leads are compared with a hundred thousand persons.
        for what in (
            "index org_leads_id on org_leads (lead_id)",
            "index by_email on org_leads (email)",
        ):
            connection.execute(sqlalchemy.text(f"create {what}"))
        connection.execute(sqlalchemy.text("analyze"))
        text = sqlalchemy.text(TROUBLES.format(found=FOUND if may_find else ""))
        found = connection.execute(text).all()
    return [f"{trouble}: {source}" for trouble, source in found]


def outcomes(environment: Environment) -> dict[str, PersonOutcome]:
    """What became of everybody, by person. The owner is the org's word, not the ledger's."""
    owners = {lead["Id"]: lead["OwnerId"] for lead in environment.leads()}
    rows = environment.rows("select person_id, outcome, lead_id, reason_code from person_outcomes")
    return {row["person_id"]: _person_outcome(row, owners) for row in rows}


def _person_outcome(row: Mapping[str, Any], owners: Mapping[str, str]) -> PersonOutcome:
    # Whose duplicate somebody is may have had no lead yet when that was found.
    is_known = row["outcome"] == "duplicate"
    owner_id = None if is_known else owners.get(row["lead_id"])
    return PersonOutcome(
        row["outcome"], owner_id, row["reason_code"] if row["outcome"] == "held" else None
    )


def differences(
    environment: Environment, clean: Mapping[str, PersonOutcome], may_hold: Collection[str] = ()
) -> list[str]:
    """Who ended otherwise than in a run that nobody disturbed. `may_hold`: whoever is held for one
    of these reasons counts as well."""
    found = outcomes(environment)
    result = []
    for person_id, expected_outcome in clean.items():
        now = found.get(person_id)
        if now != expected_outcome and not (now is not None and now.held_for in may_hold):
            result.append(f"{person_id} is {_words(now)} and should be {_words(expected_outcome)}")
    return result


def _words(outcome: PersonOutcome | None) -> str:
    if outcome is None:
        return "nowhere"
    return f"{outcome.outcome} ({outcome.held_for or f'owner {outcome.owner_id}'})"
