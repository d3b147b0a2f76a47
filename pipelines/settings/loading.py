"""Read the settings once, and name every mistake with its place and its remedy."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pipelines.errors import ConfigurationError
from pipelines.settings.groups import Settings
from pipelines.settings.sources import (
    FILE_NAME,
    PREFIX,
    Merged,
    find_file,
    read_blocks,
    resolve_paths,
)


def load_settings(
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
    read_block: Callable[[str], str] | None = None,
) -> Settings:
    """Return the settings. Raise ConfigurationError that names every wrong one, with the remedy.

    `read_block` returns the text of a Prefect Secret block: it replaces a text `block:NAME`.
    """
    environment = os.environ if environment is None else environment
    merged = Merged(find_file(config, environment), environment)
    read_blocks(merged.values, read_block)
    resolve_paths(merged.values, merged.file.parent if merged.file else Path.cwd())
    try:
        return Settings.model_validate(merged.values)
    except ValidationError as error:
        raise ConfigurationError(_explain(error.errors(), merged)) from None


_NO_URL = (
    f"warehouse.url is not set: name a settings file with --config or {PREFIX}CONFIG, "
    f"write {FILE_NAME} here, or set {PREFIX}WAREHOUSE__URL"
)


def _explain(details: list[ErrorDetails], merged: Merged) -> str:
    """Return a line for each mistake; if only the address is missing, return one sentence."""
    problems = [_explain_one(detail, merged) for detail in details]
    if problems == [_NO_URL]:
        return _NO_URL
    lines = "\n".join(f"  {problem}" for problem in problems)
    return f"settings in {merged.file or 'the environment'} are wrong:\n{lines}"


def _explain_one(detail: ErrorDetails, merged: Merged) -> str:
    location = detail["loc"]
    path = ".".join(str(part) for part in location)
    place = merged.place_of(location)
    if detail["type"] == "missing" and location[0] == "warehouse":
        return _NO_URL
    if detail["type"] == "extra_forbidden":
        return f"{path} is no setting{_perhaps(location)}: remove it ({place})"
    message = detail["msg"]
    variable = PREFIX + "__".join(str(part).upper() for part in location[:2])
    if place == f"variable {variable}" and detail["type"] == "tuple_type":
        message = 'must be JSON, such as [{"when": {}, "assign_to": "rules"}]'
    where = place if place.startswith("variable") else f"{place}, or set {variable}"
    return f"{path}: {message} (correct it: {where})"


def _perhaps(location: tuple[int | str, ...]) -> str:
    groups = {name: field.annotation for name, field in Settings.model_fields.items()}
    names: list[str] = list(groups)
    if len(location) == 2:
        group = groups.get(str(location[0]))
        names = list(getattr(group, "model_fields", ()))  # a group of free names has none
    close = difflib.get_close_matches(str(location[-1]), names, n=1)
    return f", perhaps {close[0]} is meant" if close else ""
