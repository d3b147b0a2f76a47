"""Read the value of a field from JSON or from a CSV cell, and check it.

A value is stored as SQLite stores it: text, int, float or None; booleans as 0 and 1. Dates and
instants are ISO text in UTC, so that comparing the text compares the times.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from pipelines.emulator.org import ids
from pipelines.emulator.org.schema import FRACTION_TYPES, Field

Value = str | int | float | None

# No leading dot; consecutive or trailing dots pass; a domain has letters, digits and hyphens.
# Whether a label may start or end with a hyphen is unknown, so it may not.
EMAIL = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-][A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])",
    re.ASCII,
)
# The other reading: hyphens anywhere, one-letter top-level domains, and no dot needed.
LENIENT_EMAIL = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-][A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]*"
    r"@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*",
    re.ASCII,
)
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
INTEGER = re.compile(r"[+-]?\d+(?:\.0*)?", re.ASCII)
DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
DAY_AND_ZONE = re.compile(r"\d{4}-\d{2}-\d{2}(?:Z|[+-]\d{2}:?\d{2})?", re.ASCII)
MOMENT = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:?\d{2})", re.ASCII
)
# Java's trim: everything up to the space. A no-break space is text to the org.
BLANKS: Final = "".join(map(chr, range(33)))
CSV_BOOLEANS = {"true": 1, "1": 1, "false": 0, "0": 0}


# What a length counts is documented nowhere. Java, the language of the org, counts UTF-16 units.
LENGTHS: Final[Mapping[str, Callable[[str], int]]] = {
    "utf16": lambda text: len(text.encode("utf-16-le")) // 2,
    "characters": len,
    "bytes": lambda text: len(text.encode()),
}
# The JSON types for which the meaning of an empty text is a switch.
JSON_TYPED: Final = frozenset({"boolean", "int", "date", "datetime", *FRACTION_TYPES})


class Absent:
    """The value of a field that a row does not mention."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent()
Cell = Value | Absent


@dataclass(eq=False)
class Failure(Exception):
    """Why one record was rejected, with the org's message; `details` is added by REST only."""

    code: str
    message: str
    fields: tuple[str, ...] = ()
    details: Mapping[str, object] | None = None


class JsonTypeError(Exception):
    """A JSON value of a type that the field cannot hold: the org rejects the whole request."""


def now() -> str:
    """Return the current instant as the org writes it."""
    return moment_text(datetime.now(UTC))


def moment_text(moment: datetime) -> str:
    """Return an instant as the org writes it."""
    moment = moment.astimezone(UTC)
    # Not strftime: it writes years before 1000 with fewer than four digits.
    return f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}+0000"


def from_csv(field: Field, text: str) -> Value:
    """Return the value of one CSV cell that is neither empty nor `#N/A`; raise Failure."""
    if field.type == "boolean":
        known = CSV_BOOLEANS.get(text.lower())
        if known is None or (text.isdigit() and not field.value_rules.numeric_booleans):
            raise _wrong_type(field, text)
        return known
    if field.type == "int":
        if not INTEGER.fullmatch(text):
            raise _wrong_type(field, text)
        _in_range(field, float(text), text)
        return int(text.partition(".")[0])
    if field.type in FRACTION_TYPES:
        if not NUMBER.fullmatch(text):
            raise _wrong_type(field, text)
        return _in_range(field, float(text), text)
    return from_text(field, text)


def from_json(field: Field, value: object) -> Value:
    """Return the value of one JSON member; null and the empty text clear the field."""
    if value is None:
        return 0 if field.type == "boolean" else None
    if value == "" and field.type in JSON_TYPED and not field.value_rules.empty_json_is_null:
        raise JsonTypeError(f"Cannot deserialize instance of {field.type} from {_kind(value)}")
    if field.type == "boolean":
        return _json_boolean(value)
    if field.type == "int" or field.type in FRACTION_TYPES:
        return _json_number(field, value)
    if isinstance(value, bool):
        value = "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise JsonTypeError(f"Cannot deserialize instance of {field.type} from {_kind(value)}")
    return from_text(field, str(value))


def _json_boolean(value: object) -> Value:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return CSV_BOOLEANS[value.lower()]
    raise JsonTypeError(f"Cannot deserialize instance of boolean from {_kind(value)}")


def _json_number(field: Field, value: object) -> Value:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise JsonTypeError(f"Cannot deserialize instance of {field.type} from {_kind(value)}")
    if value == "":
        return None
    pattern = INTEGER if field.type == "int" else NUMBER
    if not pattern.fullmatch(str(value)):
        raise JsonTypeError(f"Cannot deserialize instance of {field.type} from {_kind(value)}")
    number = _in_range(field, float(str(value)), str(value))
    return int(number) if field.type == "int" else number


def _kind(value: object) -> str:
    kinds: dict[type, str] = {str: "VALUE_STRING", bool: "VALUE_TRUE", dict: "START_OBJECT"}
    kind = kinds.get(
        type(value), "VALUE_NUMBER" if isinstance(value, float | int) else "START_ARRAY"
    )
    return (
        f"{kind} value {value} or request may be missing a required field at [line:1, column:2]"
        if isinstance(value, str | int | float)
        else f"{kind} token at [line:1, column:2]"
    )


def from_text(field: Field, text: str) -> Value:
    """Return the value of a text, for any field but a number or a checkbox."""
    if field.type == "reference" or field.type == "id":
        return reference_id(field, text)
    if field.type == "date":
        return _date(field, text)
    if field.type == "datetime":
        return _moment(field, text)
    if field.value_rules.trims_text:
        text = text.strip(BLANKS)
    if not text:
        return None
    _check_length(field, text)
    if field.type == "email":
        return _email(field, text)
    if field.restricted and field.picklist and text not in field.picklist:
        raise Failure(
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            f"{field.label}: bad value for restricted picklist field: {text}",
            (field.name,),
        )
    return text


def _check_length(field: Field, text: str) -> None:
    length = len(text) if text.isascii() else LENGTHS[field.value_rules.text_length](text)
    if field.length and length > field.length:
        raise Failure(
            "STRING_TOO_LONG",
            f"{field.label}: data value too large: {text} (max length={field.length})",
            (field.name,),
        )


def email_pattern(field: Field) -> re.Pattern[str]:
    """Return the pattern of the e-mail addresses that this org accepts."""
    return LENIENT_EMAIL if field.value_rules.lenient_email_domains else EMAIL


def _email(field: Field, text: str) -> str:
    if not email_pattern(field).fullmatch(text):
        message = f"{field.label}: invalid email address: {text}"
        raise Failure("INVALID_EMAIL_ADDRESS", message, (field.name,))
    return text.lower()


def reference_id(field: Field, text: str) -> Value:
    """Return a well-formed id of any object; raise Failure. The caller checks that it exists."""
    if text == "":
        return None
    found = ids.normalised(text)
    if found is None:
        raise malformed_id(field, text)
    return found


def malformed_id(field: Field, text: object) -> Failure:
    """Return the failure for an id that is malformed or of the wrong object."""
    message = f"{field.label}: id value of incorrect type: {text}"
    return Failure("MALFORMED_ID", message, (field.name,))


def _date(field: Field, text: str) -> Value:
    if not text:
        return None
    try:
        return date.fromisoformat(text[:10]).isoformat() if _is_day(text) else _fail(field, text)
    except ValueError:
        raise _wrong_type(field, text) from None


def _is_day(text: str) -> bool:
    """Return whether the text is a day, alone or with a time and zone, which the org ignores."""
    return bool(DAY_AND_ZONE.fullmatch(text) or MOMENT.fullmatch(text))


def _moment(field: Field, text: str) -> Value:
    if not text:
        return None
    try:
        if DATE.fullmatch(text):
            return moment_text(datetime.fromisoformat(text).replace(tzinfo=UTC))
        return moment_text(parsed_moment(text))
    except (ValueError, OverflowError):
        raise _wrong_type(field, text) from None


def parsed_moment(text: str) -> datetime:
    """Return an instant in any form that the org reads; raise ValueError."""
    if not MOMENT.fullmatch(text):
        raise ValueError(text)
    return datetime.fromisoformat(text)


def _fail(field: Field, text: str) -> Value:
    raise _wrong_type(field, text)


def _wrong_type(field: Field, text: str) -> Failure:
    message = f"{field.label}: value not of required type: {text}"
    return Failure("INVALID_TYPE_ON_FIELD_IN_RECORD", message, (field.name,))


def _in_range(field: Field, number: float, text: str) -> float:
    if abs(number) >= 10 ** ((field.precision or 18) - field.scale):
        message = f"{field.label}: value outside of valid range on numeric field: {text}"
        raise Failure("NUMBER_OUTSIDE_VALID_RANGE", message, (field.name,))
    return number


def cell_value(field: Field, text: str) -> Cell:
    """Return the value of one CSV cell: ABSENT where empty, null where `#N/A`."""
    if not text:
        return ABSENT
    if text == "#N/A":
        return 0 if field.type == "boolean" else None
    return from_csv(field, text)
