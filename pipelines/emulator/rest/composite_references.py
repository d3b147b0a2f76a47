"""What `@{reference.field}` stands for in a composite: a part of an earlier answer."""

from __future__ import annotations

import re
from typing import Any

REFERENCE = re.compile(r"@\{([^{}.\[\]]+)((?:\.[^{}.\[\]]+|\[\d{1,9}\])*)\}")
STEP = re.compile(r"\.([^{}.\[\]]+)|\[(\d+)\]")


class UnknownReferenceError(Exception):
    """A reference to an answer that is not there, failed, or has no such part."""


def fill_references(text: str, known: dict[str, Any]) -> str:
    """The text with each reference replaced by what it stands for."""
    return REFERENCE.sub(lambda match: _text(match, known), text)


def fill_references_deep(value: Any, known: dict[str, Any]) -> Any:
    """A whole body with its references replaced."""
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
