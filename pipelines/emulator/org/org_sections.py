"""One table of an org file, read key by key; every error names the place of the mistake."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

When = dict[str, tuple[str, ...]]


class OrgFileError(Exception):
    """The org file is wrong; the message says where, and how to correct it."""


@dataclass
class Section:
    """One table of the file. A key that was never read is an unknown key."""

    place: str
    values: dict[str, Any]
    read_keys: set[str] = field(default_factory=set)

    def _read(self, key: str, default: Any, kinds: tuple[type, ...], what: str) -> Any:
        self.read_keys.add(key)
        value = self.values.get(key, default)
        if value is None:
            raise OrgFileError(f"{self.place}.{key} is missing; write {key} = <{what}>")
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise OrgFileError(f"{self.place}.{key} must be {what}, not {value!r}")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text; without a default it is required."""
        return str(self._read(key, default, (str,), "a text"))

    def one_of(self, key: str, known: tuple[str, ...] | list[str], default: str | None) -> str:
        """Return a text that must be one of `known`."""
        value = self.text(key, default)
        if value not in known:
            raise OrgFileError(
                f"{self.place}.{key} must be one of {', '.join(known)}, not {value!r}"
            )
        return value

    def some_of(
        self, key: str, known: tuple[str, ...], default: tuple[str, ...]
    ) -> tuple[str, ...]:
        """Return a list of texts that must all be in `known`."""
        given = self.texts(key) if key in self.values else default
        self.read_keys.add(key)
        unknown = [value for value in given if value not in known]
        if unknown:
            raise OrgFileError(
                f"{self.place}.{key} may hold {', '.join(known)}, not {unknown[0]!r}"
            )
        return given

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false."""
        return bool(self._read(key, default, (bool,), "true or false"))

    def whole(self, key: str, default: int) -> int:
        """Return a whole number, not negative."""
        value = int(self._read(key, default, (int,), "a whole number"))
        if value < 0:
            raise OrgFileError(f"{self.place}.{key} must not be negative, not {value}")
        return value

    def status(self, key: str, default: int) -> int:
        """Return an HTTP status from 400 to 499."""
        value = self.whole(key, default)
        if not 400 <= value < 500:
            raise OrgFileError(f"{self.place}.{key} must be from 400 to 499, not {value}")
        return value

    def number(self, key: str, default: float) -> float:
        """Return a number, not negative."""
        value = float(self._read(key, default, (int, float), "a number"))
        if value < 0:
            raise OrgFileError(f"{self.place}.{key} must not be negative, not {value}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts, empty where the key is missing."""
        values = self._read(key, [], (list,), "a list of texts")
        if not all(isinstance(value, str) for value in values):
            raise OrgFileError(f"{self.place}.{key} must be a list of texts, not {values!r}")
        return tuple(values)

    def when(self, key: str = "when") -> When:
        """Return conditions: field = value, or field = [values]."""
        conditions = self._read(key, {}, (dict,), "a table of conditions")
        return {
            name: tuple(str(v) for v in (value if isinstance(value, list) else [value]))
            for name, value in conditions.items()
        }

    def section(self, key: str) -> Section:
        """Return an inner table, empty where it is missing."""
        return Section(_under(self.place, key), self._read(key, {}, (dict,), "a table"))

    def sections(self, key: str) -> list[Section]:
        """Return a list of inner tables."""
        place = _under(self.place, key)
        values = self._read(key, [], (list,), f"a list of tables; write [[{key}]]")
        for position, value in enumerate(values):
            if not isinstance(value, dict):
                raise OrgFileError(f"{place}[{position}] must be a table; write [[{key}]]")
        return [Section(f"{place}[{position}]", value) for position, value in enumerate(values)]

    def reject_unknown_keys(self) -> None:
        """Raise OrgFileError where the table has a key that was never read."""
        for key in self.values:
            if key not in self.read_keys:
                known = ", ".join(sorted(self.read_keys))
                raise OrgFileError(
                    f"{_under(self.place, key)} is not a key of an org file; known here: {known}"
                )


def _under(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key
