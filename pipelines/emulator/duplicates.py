"""Duplicate rules: does a new record look like one that is there already (§9)?

The matching is a simplification of the standard rules, stricter where they are fuzzy: the same
e-mail and last name with a first name that agrees, or the same full name and phone digits.
Only committed records are compared, so twins inside one chunk never see each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipelines.emulator.org_file import DuplicateRule
from pipelines.emulator.store import Store
from pipelines.emulator.values import Failure

MESSAGE = "Use one of these records?"
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


class Face(NamedTuple):
    """What the matching looks at."""

    email: str
    first: str
    last: str
    phone: str


@dataclass(frozen=True)
class Hit:
    """A rule that fired, and the records it found."""

    rule: DuplicateRule
    ids: tuple[str, ...]


def face(email: object, first: object, last: object, phone: object) -> Face:
    """The comparable face of a record."""
    digits = "".join(c for c in _text(phone) if c.isdigit())
    return Face(_text(email), _text(first), _text(last), digits)


def _text(value: object) -> str:
    return value.casefold() if isinstance(value, str) else ""


def first_names_agree(one: str, other: str) -> bool:
    """Equal, blank, an initial of the other, or a known nickname."""
    if not one or not other or one == other:
        return True
    short, long = sorted((one.rstrip("."), other.rstrip(".")), key=len)
    if len(short) == 1:
        return long.startswith(short)
    return any(one in group and other in group for group in NICKNAMES)


def looks_like(one: Face, other: Face) -> bool:
    """True where the standard rules would call the two the same person."""
    if not one.last or one.last != other.last or not first_names_agree(one.first, other.first):
        return False
    same_email = bool(one.email) and one.email == other.email
    same_phone = bool(one.phone) and one.phone == other.phone
    return same_email or (same_phone and bool(one.first) and bool(other.first))


def find_hits(
    store: Store,
    rules: Sequence[DuplicateRule],
    faces: dict[int, Face],
    own_ids: Mapping[int, str],
) -> dict[int, list[Hit]]:
    """For each row, the rules that fire and whom they found; no record is its own duplicate."""
    hits: dict[int, list[Hit]] = defaultdict(list)
    for rule in rules:
        known = _candidates(store, rule.matches, faces.values())
        for row, new in faces.items():
            found = [
                id_
                for id_, old in known.get(new.last, ())
                if id_ != own_ids.get(row) and looks_like(new, old)
            ]
            if found:
                hits[row].append(Hit(rule, tuple(found)))
    return dict(hits)


def _candidates(
    store: Store, object_name: str, faces: Iterable[Face]
) -> dict[str, list[tuple[str, Face]]]:
    faces = list(faces)
    emails = sorted({f.email for f in faces if f.email})
    named = sorted({f.last for f in faces if f.phone and f.first})
    # A converted lead lives on as a contact, which the rule against contacts finds.
    living = "IsDeleted = 0" + (" and IsConverted = 0" if object_name == "Lead" else "")
    select = f'select Id, Email, FirstName, LastName, Phone from "{object_name}" where {living}'  # noqa: S608 - a name of ours
    rows = [
        *store.rows(f"{select} and Email in ({_marks(emails)})", emails),
        *store.rows(f"{select} and Phone is not null and LastName in ({_marks(named)})", named),
    ]
    by_last: dict[str, dict[str, Face]] = defaultdict(dict)
    for id_, email, first, last, phone in rows:
        seen = face(email, first, last, phone)
        by_last[seen.last][str(id_)] = seen
    return {last: sorted(known.items()) for last, known in by_last.items()}


def _marks(values: Sequence[str]) -> str:
    return ",".join("?" * len(values))


def refusal(hits: Sequence[Hit], allow_save: bool, object_name: str) -> Failure | None:
    """The refusal a row meets, or None where it may be saved: only a Block cannot be overridden."""
    for hit in hits:
        if hit.rule.action == "block" or (hit.rule.action == "alert" and not allow_save):
            return Failure("DUPLICATES_DETECTED", MESSAGE, (), _details(hit, object_name))
    return None


MATCHING_RULES = {
    "Lead": "Standard_Lead_Match_Rule_v1_0",
    "Contact": "Standard_Contact_Match_Rule_v1_1",
}


def _details(hit: Hit, object_name: str) -> dict[str, object]:
    found = [
        {
            "additionalInformation": [],
            "fieldDiffs": [],
            "matchConfidence": 100.0,
            "record": {"attributes": {"type": hit.rule.matches, "url": id_}, "Id": id_},
        }
        for id_ in hit.ids
    ]
    match = {
        "entityType": hit.rule.matches,
        "errors": [],
        "matchEngine": "FuzzyMatchEngine",
        "matchRecords": found,
        "rule": MATCHING_RULES[hit.rule.matches],
        "size": len(found),
        "success": True,
    }
    return {
        "allowSave": hit.rule.action != "block",
        "duplicateRule": hit.rule.name.replace(" ", "_"),
        "duplicateRuleEntityType": object_name,
        "errorMessage": MESSAGE,
        "matchResults": [match],
    }
