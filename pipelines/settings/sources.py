"""Where settings come from: the environment, then one TOML file; and where each value stands.

pydantic-settings merges the two. Both sources are classes of ours, because its own ones would lose
three promises. An unknown group in a variable is an error. A Salesforce field named by a variable
keeps its capital letters. A byte-order mark in the file is allowed.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, TomlConfigSettingsSource

from pipelines.errors import ConfigurationError

PREFIX = "PERSON_SYNC_"
FILE_NAME = "person-sync.toml"
# Groups whose names are Salesforce fields: their capital letters count.
FIELD_GROUPS = ("fields", "defaults")


def find_file(config: Path | None, environment: Mapping[str, str]) -> Path | None:
    """Return the settings file: `config`, else the variable's, else the current folder's, or None.

    Raise ConfigurationError for a named file that does not exist.
    """
    named = config or Path(environment.get(f"{PREFIX}CONFIG", ""))
    if named == Path():
        # Path.is_file raises in a folder that this user may not look into.
        return Path(FILE_NAME).resolve() if os.path.isfile(FILE_NAME) else None
    if not os.path.isfile(named):
        raise ConfigurationError(
            f"settings file {named} is not there: check --config or {PREFIX}CONFIG"
        )
    return named.resolve()


class TomlFile(TomlConfigSettingsSource):
    """The settings file. Raise ConfigurationError where it cannot be read."""

    lines: Mapping[tuple[str, ...], int] = {}

    def _read_file(self, file_path: Any) -> dict[str, Any]:
        try:
            text = Path(file_path).read_text(encoding="utf-8-sig")  # without a byte-order mark
            self.lines = find_lines(text)
            return tomllib.loads(text)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"settings file {file_path} is not valid TOML: {error}"
            ) from None
        except OSError as error:
            raise ConfigurationError(
                f"settings file {file_path} cannot be read: {error.strerror}"
            ) from None


_HEADER = re.compile(r"\s*\[{1,2}([^\[\]#]+)\]{1,2}")
_KEY = re.compile(r"\s*([\w.\"' -]+?)\s*=")


def find_lines(text: str) -> dict[tuple[str, ...], int]:
    """Return the line of each table and key of a TOML text, the first one of each.

    tomllib knows no lines. This reads only what starts a line, so a key inside an inline table is
    missing: its table's line has to do.
    """
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = _names(header[1])
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            names = (*table, *_names(key[1]))
            for length in range(1, len(names) + 1):
                found.setdefault(names[:length], number)
    return found


def _names(dotted: str) -> tuple[str, ...]:
    return tuple(name.strip(" \t\"'") for name in dotted.split("."))


class Environment(PydanticBaseSettingsSource):
    """The variables `PERSON_SYNC_<GROUP>__<NAME>`. `in_file` is what the settings file holds."""

    def __init__(
        self,
        settings_cls: type[BaseSettings],
        environment: Mapping[str, str],
        in_file: Mapping[str, Any],
    ) -> None:
        super().__init__(settings_cls)
        self._environment, self._in_file = environment, in_file
        self.variables: dict[tuple[str, ...], str] = {}  # the variable of each value

    def get_field_value(
        self,
        field: FieldInfo,  # noqa: ARG002 - the library's signature
        field_name: str,
    ) -> tuple[Any, str, bool]:
        """Return no value: this source reads all variables together."""
        return None, field_name, False

    def __call__(self) -> dict[str, dict[str, Any]]:
        """Return the value of each variable, by group and name."""
        values: dict[str, dict[str, Any]] = {}
        for variable, text in self._environment.items():
            group, separator, key = variable.removeprefix(PREFIX).partition("__")
            if not variable.startswith(PREFIX) or not separator:
                continue
            group = group.lower()
            in_file = self._in_file.get(group, {})
            if not isinstance(in_file, dict):
                continue  # `run = 3` in the file is an error, which a variable must not hide
            name = _name_in_group(group, key, in_file)
            is_json = (group, name) == ("owners", "choice")
            values.setdefault(group, {})[name] = _decoded(text) if is_json else text
            self.variables[group, name] = variable
        return values


def _name_in_group(group: str, key: str, in_file: Mapping[str, Any]) -> str:
    """Return the name that a variable sets, with the capital letters that the file gives it."""
    same = next((known for known in in_file if known.lower() == key.lower()), None)
    return same or (key if group in FIELD_GROUPS else key.lower())


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text  # not a list: validation reports it together with the other mistakes


class Merged:
    """The values of both sources, the environment's first, and where each of them stands."""

    def __init__(self, file: Path | None, environment: Mapping[str, str]) -> None:
        merged = self

        class Reader(BaseSettings, extra="allow"):
            """Merges the sources; it has no fields of its own, `Settings` validates the result."""

            @classmethod
            def settings_customise_sources(
                cls, settings_cls: type[BaseSettings], *_: Any, **__: Any
            ) -> tuple[PydanticBaseSettingsSource, ...]:
                merged._toml = TomlFile(settings_cls, file)
                merged._environment = Environment(settings_cls, environment, merged._toml.toml_data)
                return merged._environment, merged._toml

        self._toml: TomlFile
        self._environment: Environment
        self.file = file
        self.values: dict[str, Any] = Reader().model_extra or {}

    def place_of(self, location: tuple[int | str, ...]) -> str:
        """Return where a value stands: its variable, or its line in the file; "" for nowhere."""
        names = tuple(part for part in location if isinstance(part, str))
        if variable := self._environment.variables.get(names[:2]):
            return f"variable {variable}"
        for length in range(len(names), 0, -1):
            if line := self._toml.lines.get(names[:length]):
                return f"line {line}"
        return ""


def read_blocks(values: Mapping[str, Any], read_block: Callable[[str], str] | None) -> None:
    """Replace each text `block:NAME` by what `read_block` returns for NAME.

    Raise ConfigurationError where there is no `read_block`.
    """
    for name, group in values.items():
        for key, text in group.items() if isinstance(group, dict) else ():
            if isinstance(text, str) and text.startswith("block:"):
                if read_block is None:
                    raise ConfigurationError(
                        f"{name}.{key} = {text} needs Prefect: set it in the environment instead"
                    )
                group[key] = read_block(text.removeprefix("block:"))


def resolve_paths(values: Mapping[str, Any], folder: Path) -> None:
    """Make the paths in the settings absolute: a relative one is relative to `folder`."""
    _relative_to(folder, values.get("warehouse"), "url", r"sqlite(?:\+\w+)?:///")
    _relative_to(folder, values.get("salesforce"), "private_key_file", "")


def _relative_to(folder: Path, group: object, key: str, scheme: str) -> None:
    if not isinstance(group, dict) or not isinstance(group.get(key), str):
        return
    found = re.match(scheme, group[key])
    path = group[key][found.end() :] if found else ""
    # ":memory:" and "file:..." are SQLite's own words, not paths.
    if found and path and not path.startswith((":", "/", "file:")):
        group[key] = f"{found.group()}{folder / path}"
