"""Duplicate rules: find existing records that match a new or changed one.

The matching is simpler than the standard rules. Either e-mail and last name are equal and the first
names agree, or full name and phone digits are equal. Only saved records are compared, so two
duplicates in one chunk do not see each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipelines.emulator.org.match_keys import digits_of, email_match_key, fold, phone_match_key
from pipelines.emulator.org.org_config import DuplicateRule
from pipelines.emulator.org.schema import Schema, SObject
from pipelines.emulator.org.store import Store
from pipelines.emulator.org.values import Cell, Failure

MESSAGE = "Use one of these records?"
MATCHED_FIELDS = ("Email", "FirstName", "LastName", "Phone")
NICKNAMES = tuple(
    frozenset(group.split())
    for group in (
        "robert rob bob bobby",
        "william will bill billy liam",
        "richard rick dick",
        "elizabeth liz beth betty eliza",
        "margaret maggie peggy meg",
        "james jim jimmy",
        "john jack johnny",
        "michael mike mick",
        "thomas tom tommy",
        "katherine kate kathy katie",
        "alexander alex sasha",
        "edward ed ted ned",
    )
)


class MatchFields(NamedTuple):
    """The values that the matching compares."""

    email: str
    first: str
    last: str
    phone: str


@dataclass(frozen=True)
class RuleMatch:
    """A rule that applies, and the ids of the records it found."""

    rule: DuplicateRule
    ids: tuple[str, ...]


def match_fields(email: object, first: object, last: object, phone: object) -> MatchFields:
    """Return the values of a record in comparable form."""
    return MatchFields(
        fold(email),
        fold(first),
        fold(last),
        digits_of(phone if isinstance(phone, str) else ""),
    )


def first_names_agree(one: str, other: str) -> bool:
    """Return whether two first names are equal, one blank, an initial, or a known nickname."""
    if not one or not other or one == other:
        return True
    short, long = sorted((one.rstrip("."), other.rstrip(".")), key=len)
    if len(short) == 1:
        return long.startswith(short)
    return any(one in group and other in group for group in NICKNAMES)


def is_match(one: MatchFields, other: MatchFields) -> bool:
    """Return whether the standard rules would call the two the same person."""
    if not one.last or one.last != other.last or not first_names_agree(one.first, other.first):
        return False
    same_email = bool(one.email) and one.email == other.email
    same_phone = bool(one.phone) and one.phone == other.phone
    return same_email or (same_phone and bool(one.first) and bool(other.first))


def rejecting_rules(
    rules: Iterable[DuplicateRule], object_name: str, operation: str, allow_save: bool = False
) -> list[DuplicateRule]:
    """Return the rules that can reject an `insert` or `update` of this object."""
    return [
        rule
        for rule in rules
        if rule.object == object_name
        and operation in rule.operations
        and _rejects(rule, allow_save)
    ]


def _rejects(rule: DuplicateRule, allow_save: bool) -> bool:
    """Return whether the rule rejects; only an alert can be overridden."""
    return rule.action == "block" or (rule.action == "alert" and not allow_save)


@dataclass(frozen=True)
class MatchTarget:
    """The object whose records a rule compares with, and the SQL of the compared columns."""

    sobject: SObject

    @property
    def column_names(self) -> list[str]:
        """Return the compared columns; a field hidden in this org is null."""
        return [name if self.sobject.find(name) else "null" for name in MATCHED_FIELDS]

    @property
    def keys(self) -> tuple[str, str]:
        """Return the SQL of two keys. Records can match only where one agrees, so both are
        indexed.
        """
        email, first, last, phone = self.column_names
        return f"email_match_key({email}, {last})", f"phone_match_key({phone}, {first}, {last})"


def index_matches(store: Store, rules: Iterable[DuplicateRule], schema: Schema) -> None:
    """Create the indexes for the keys of these rules; repeating it changes nothing."""
    for rule in rules:
        for number, key in enumerate(MatchTarget(schema[rule.matches]).keys):
            index = f"{rule.matches}_match_key_{number}"
            store.run(f'create index if not exists "{index}" on "{rule.matches}" ({key})')


def find_matches(
    store: Store,
    target: MatchTarget,
    columns: Mapping[str, Sequence[Cell]],
    own_ids: Mapping[int, str],
    rows: Sequence[int],
) -> dict[int, tuple[str, ...]]:
    """Return the ids of the matching records for each of these rows; a row never matches itself."""
    keys = list(_keys(columns, rows))
    by_email = _find_candidates(store, target, target.keys[0], {email for _, email, _ in keys})
    by_phone = _find_candidates(store, target, target.keys[1], {phone for _, _, phone in keys})
    matches: dict[int, tuple[str, ...]] = {}
    for row, email, phone in keys:
        if email not in by_email and phone not in by_phone:
            continue
        candidates = by_email.get(email, {}) | by_phone.get(phone, {})
        candidates.pop(own_ids.get(row, ""), None)
        if matching := _matching_ids(_match_fields_of(columns, row), candidates):
            matches[row] = matching
    return matches


def _keys(
    columns: Mapping[str, Sequence[Cell]], rows: Sequence[int]
) -> Iterator[tuple[int, str | None, str | None]]:
    nothing = [None] * (rows[-1] + 1 if rows else 0)
    emails, firsts, lasts, phones = (columns.get(name, nothing) for name in MATCHED_FIELDS)
    for row in rows:
        last = lasts[row]
        yield (
            row,
            email_match_key(emails[row], last),
            phone_match_key(phones[row], firsts[row], last),
        )


def _match_fields_of(columns: Mapping[str, Sequence[Cell]], row: int) -> MatchFields:
    return match_fields(
        *(columns[name][row] if name in columns else None for name in MATCHED_FIELDS)
    )


def _matching_ids(new: MatchFields, target: Mapping[str, MatchFields]) -> tuple[str, ...]:
    return tuple(id_ for id_, old in sorted(target.items()) if is_match(new, old))


def _find_candidates(
    store: Store, target: MatchTarget, key: str, wanted: Iterable[str | None]
) -> dict[str | None, dict[str, MatchFields]]:
    """Return the active records with one of these keys: key → id → values."""
    values = [value for value in wanted if value is not None]
    # A converted lead lives on as a contact, which the rule against contacts finds.
    living = "IsDeleted = 0" + (" and IsConverted = 0" if target.sobject.name == "Lead" else "")
    records: dict[str | None, dict[str, MatchFields]] = defaultdict(dict)
    for shared, id_, *column_names in store.rows(
        f'select {key}, Id, {", ".join(target.column_names)} from "{target.sobject.name}"'  # noqa: S608 - names of ours
        f" where {living} and {key} in ({','.join('?' * len(values))})",
        values,
    ):
        records[str(shared)][str(id_)] = match_fields(*column_names)
    return records


def duplicate_failure(rule_match: RuleMatch, object_name: str) -> Failure:
    """Return the failure of a row that a duplicate rule rejects."""
    return Failure("DUPLICATES_DETECTED", MESSAGE, (), _details(rule_match, object_name))


MATCHING_RULES = {
    "Lead": "Standard_Lead_Match_Rule_v1_0",
    "Contact": "Standard_Contact_Match_Rule_v1_1",
}


def _details(rule_match: RuleMatch, object_name: str) -> dict[str, object]:
    records = [
        {
            "additionalInformation": [],
            "fieldDiffs": [],
            "matchConfidence": 100.0,
            "record": {"attributes": {"type": rule_match.rule.matches, "url": id_}, "Id": id_},
        }
        for id_ in rule_match.ids
    ]
    match = {
        "entityType": rule_match.rule.matches,
        "errors": [],
        "matchEngine": "FuzzyMatchEngine",
        "matchRecords": records,
        "rule": MATCHING_RULES[rule_match.rule.matches],
        "size": len(records),
        "success": True,
    }
    return {
        "allowSave": rule_match.rule.action != "block",
        "duplicateRule": rule_match.rule.name.replace(" ", "_"),
        "duplicateRuleEntityType": object_name,
        "errorMessage": MESSAGE,
        "matchResults": [match],
    }
