"""Replace `@{reference.field}` in a composite by a part of an earlier response."""

from __future__ import annotations

import re
from typing import Any

REFERENCE = re.compile(r"@\{([^{}.\[\]]+)((?:\.[^{}.\[\]]+|\[\d{1,9}\])*)\}")
STEP = re.compile(r"\.([^{}.\[\]]+)|\[(\d+)\]")


class UnknownReferenceError(Exception):
    """A reference to a response that does not exist, failed, or has no such part."""


def fill_references(text: str, known: dict[str, Any]) -> str:
    """Return the text with each reference replaced by its value."""
    return REFERENCE.sub(lambda match: _text(match, known), text)


def fill_references_deep(value: Any, known: dict[str, Any]) -> Any:
    """Return a JSON value with the references in all its texts replaced."""
    if isinstance(value, str):
        return fill_references(value, known)
    if isinstance(value, list):
        return [fill_references_deep(item, known) for item in value]
    if isinstance(value, dict):
        return {key: fill_references_deep(item, known) for key, item in value.items()}
    return value


def _text(match: re.Match[str], known: dict[str, Any]) -> str:
    value = _part(match, known)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise _missing(match)


def _part(match: re.Match[str], known: dict[str, Any]) -> Any:
    value = known.get(match[1])
    for name, position in STEP.findall(match[2]):
        if name and isinstance(value, dict):
            value = value.get(name)
        elif position and isinstance(value, list) and int(position) < len(value):
            value = value[int(position)]
        else:
            raise _missing(match)
    return value


def _missing(match: re.Match[str]) -> UnknownReferenceError:
    path = match[0][2:-1]
    return UnknownReferenceError(
        f"Invalid reference specified. No value for {path} found in {match[1]}. "
        f"Provided reference: {match[0]}"
    )
