"""Write stored values as JSON, as CSV of a bulk query, and as the echo in bulk result files."""

from __future__ import annotations

import json
import math

from pipelines.emulator.org.schema import FRACTION_TYPES, Field
from pipelines.emulator.org.values import (
    CSV_BOOLEANS,
    MOMENT,
    NUMBER,
    Value,
    moment_text,
    parsed_moment,
)


def to_json(field: Field, value: Value) -> object:
    """Return a stored value as REST and query results write it."""
    if value is not None and field.type == "boolean":
        return bool(value)
    if field.type == "address":
        return json.loads(str(value))
    return value


def to_csv(field: Field, value: Value) -> str:
    """Return a stored value as a bulk query writes it."""
    if value is None:
        return ""
    if field.type == "boolean":
        return "true" if value else "false"
    if field.type in FRACTION_TYPES:
        return java_double(float(value))
    if field.type == "datetime":
        return str(value).replace("+0000", "Z")
    return str(value)


def java_double(number: float) -> str:
    """Return a number as Java prints it: 912260031 becomes 9.12260031E8."""
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    if number == 0 or 1e-3 <= abs(number) < 1e7:
        return repr(number)
    mantissa, _, exponent = f"{number:.17e}".partition("e")
    for digits in range(1, 18):
        mantissa = f"{number:.{digits}e}".partition("e")[0]
        if float(f"{mantissa}e{exponent}") == number:
            break
    return f"{mantissa}E{int(exponent)}"


def echoed(field: Field | None, text: str) -> str:
    """Return an uploaded cell as the result files repeat it: re-formatted by its type."""
    if field is None or not text:
        return text
    if field.type in FRACTION_TYPES and NUMBER.fullmatch(text):
        return java_double(float(text))
    if field.type == "boolean":
        known = CSV_BOOLEANS.get(text.lower())
        return text if known is None else ("true" if known else "false")
    if field.type == "datetime" and MOMENT.fullmatch(text):
        return _echoed_moment(text)
    return text


def _echoed_moment(text: str) -> str:
    try:
        return moment_text(parsed_moment(text)).replace("+0000", "Z")
    except (ValueError, OverflowError):
        return text
