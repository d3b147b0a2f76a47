"""The steps between reading and loading: validate, assign owners, deduplicate, match.

Nothing here writes. `partition.partition_slice` records what is decided here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from pipelines.rules import cleaning, deduplication, match_decisions, validation
from pipelines.rules.frames import (
    Duplicates,
    Outcomes,
    Persons,
    Rejected,
    columns_of,
    conform,
    select,
)
from pipelines.rules.selection import filter_rows
from pipelines.steps import extract
from pipelines.steps.context import Passed, RunContext
from pipelines.steps.owners import assign_owners
from pipelines.warehouse import ledger

if TYPE_CHECKING:
    from pandera.typing import DataFrame

_OUTCOME_NOTES = ["person_id", "owner_strategy", "defaulted_fields"]


@dataclass
class ValidatedSlice:
    """The persons of a slice after the rejection rules and the owner strategies.

    `persons`: every person read, with the columns of Persons, owner_strategy and defaulted_fields.
    `accepted`: those who broke no rule, with all their columns and their owner. `rejected`: rows of
    `rejected_persons`. `columns`: Lead field → column of `accepted`.
    """

    persons: pd.DataFrame
    accepted: pd.DataFrame
    rejected: pd.DataFrame
    columns: dict[str, str]


@dataclass(frozen=True)
class SliceDecisions:
    """What the rules decide about a slice; nothing is recorded yet.

    `persons`: every person read. `decided`: the persons who need no batch. `to_load`: the others,
    with their action, owner and match. `columns`: Lead field → column of `to_load`.
    """

    persons: DataFrame[Persons]
    rejected: DataFrame[Rejected]
    duplicates: DataFrame[Duplicates]
    decided: DataFrame[Outcomes]
    to_load: pd.DataFrame
    columns: dict[str, str]

    @property
    def rejected_count(self) -> int:
        """How many persons are rejected; one may break several rules."""
        return int(self.rejected["person_id"].nunique())

    @property
    def duplicate_count(self) -> int:
        """How many persons are reported as duplicates."""
        return len(self.decided) - self.rejected_count


def validate_slice(run: RunContext, rows: Passed[pd.DataFrame]) -> Passed[ValidatedSlice | None]:
    """Check the persons against the rejection rules, then find their owners.

    Return None in place of a slice when no person of it is new any more. May be repeated.
    """
    part = rows.part
    with run.progress.during(f"slice {run.slice_name(part)}: validating"):
        cleaned = cleaning.clean(rows.take())
        if cleaned.empty:
            return Passed(part, None, "0 accepted")
        validated = _validated(run, cleaned)
    counts = f"{len(validated.accepted):,} accepted"
    if len(validated.rejected):
        counts += f", {validated.rejected['person_id'].nunique():,} rejected"
    return Passed(part, validated, counts)


def _validated(run: RunContext, cleaned: pd.DataFrame) -> ValidatedSlice:
    cleaned, columns = cleaning.fill_defaults(cleaned, run.columns, run.settings.defaults)
    email = columns.get("Email", "")
    cleaned["email_hash"] = deduplication.email_hash(
        cleaned[email] if email else pd.Series(None, index=cleaned.index, dtype="str")
    )
    persons = cleaned[[*dict.fromkeys([*columns_of(Persons), *_OUTCOME_NOTES])]]
    valid, invalid = validation.validate(cleaned, columns, run.lead_fields, run.person_id_length)
    # A slice is in memory once, not once for every rule: each frame goes as soon as the next is
    # there, and of the persons set apart only what the result tables need stays.
    del cleaned
    accepted, without_owner = assign_owners(
        valid, run.choices, run.default_strategy, run.owner_lookup
    )
    rejected = pd.concat([invalid, without_owner], ignore_index=True)
    return ValidatedSlice(persons, accepted, rejected, columns)


def match_slice(
    run: RunContext, validated: Passed[ValidatedSlice | None]
) -> Passed[SliceDecisions | None]:
    """Find each person among the others, in the ledger and in Salesforce; decide what to do.

    In this order, because a lookup in Salesforce costs API calls and the others do not. May be
    repeated. Raise what looking up in Salesforce raises.
    """
    part = validated.part
    given = validated.take()
    if given is None:
        return Passed(part, None, "0 to load")
    with run.progress.during(f"slice {run.slice_name(part)}: matching"):
        decisions = _decided(run, given)
    counts = f"{len(decisions.to_load):,} to load, {decisions.duplicate_count:,} duplicate"
    return Passed(part, decisions, counts)


def _decided(run: RunContext, given: ValidatedSlice) -> SliceDecisions:
    email = given.columns.get("Email", "")
    persons, rejected = given.persons, given.rejected
    notes = given.accepted[_OUTCOME_NOTES]
    kept, same_email = deduplication.deduplicate_slice(given.accepted, email)
    given.accepted = notes  # the caller still holds `given`: the large frame goes here
    claims = ledger.email_claims(run.warehouse, run.run_id, kept["email_hash"])
    kept, in_ledger, of_ledger = deduplication.deduplicate_against_ledger(kept, claims, email)
    known = _look_up(run, kept, email)
    actions, in_salesforce = match_decisions.decide_actions(kept, known, run.matching, email)
    outcomes = [
        # Without their strategy: it may be any text, and outcomes are read without the grants that
        # rejected_persons asks for.
        _outcomes(persons, rejected["person_id"], "rejected").assign(owner_strategy=None),
        _outcomes(notes, same_email["person_id"], "duplicate", "SAME_EMAIL"),
        of_ledger.merge(notes, on="person_id"),
        actions[actions["action"] == "duplicate"].assign(outcome="duplicate"),
    ]
    chains = deduplication.follow_duplicate_chains(same_email, in_ledger)
    return SliceDecisions(
        persons=select(persons, Persons),
        rejected=select(rejected, Rejected),
        duplicates=select(
            pd.concat([chains, in_ledger, in_salesforce], ignore_index=True), Duplicates
        ),
        decided=conform(pd.concat(outcomes), Outcomes),
        to_load=filter_rows(actions, actions["action"] != "duplicate"),
        columns=given.columns,
    )


def decide_again(run: RunContext, part: ledger.Slice) -> SliceDecisions | None:
    """Extract, validate and match a slice once more; None when no person of it is new any more."""
    rows = extract.extract_slice(run, part)
    return match_slice(run, validate_slice(run, rows)).take()


def _look_up(run: RunContext, persons: pd.DataFrame, email: str) -> pd.DataFrame:
    emails = deduplication.match_key(persons[email]) if email else persons["email_hash"]
    return run.matcher.find_known(
        emails=emails, email_hashes=persons["email_hash"], person_ids=persons["person_id"]
    )


def _outcomes(
    persons: pd.DataFrame, person_ids: pd.Series[str], outcome: str, reason: str | None = None
) -> pd.DataFrame:
    chosen = persons.loc[persons["person_id"].isin(person_ids), _OUTCOME_NOTES]
    return chosen.assign(outcome=outcome, reason_code=reason)
