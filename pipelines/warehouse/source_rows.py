"""Read rows of the persons table as text, one row a person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd
from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    DateTime,
    Float,
    FromClause,
    Integer,
    Numeric,
    Select,
    Subquery,
    Table,
    Text,
    case,
    cast,
    false,
    func,
    null,
    or_,
    select,
    true,
)

from pipelines.warehouse.database import Warehouse

# SQL's trim removes blanks only; an id that is only a tab is no id either.
_WHITE_SPACE = " \t\n\r\v\f\u00a0\u200b"
_EXPONENT = r"-?\d+(?:\.\d+)?[eE][+-]?\d+"
# In SQLAlchemy 2.1 Float is not a subclass of Numeric.
NUMBERS = (Integer, Numeric, Float)
_TYPES = {
    "is_there": "boolean",
    "row_count": "Int64",
    "attempt_count": "Int64",
    "position": "Int64",
}
Complete = Callable[[Select[Any]], Select[Any]]

_FIXED = ["person_id", "row_count", "attempt_count", "source_changed_at", "source_version"]


def has_no_id(persons: Table) -> ColumnElement[bool]:
    """Return the condition that a row's id is null or only white space."""
    id_ = persons.c.person_id
    return or_(id_.is_(None), func.trim(cast(id_, Text), _WHITE_SPACE) == "")


def id_text(warehouse: Warehouse) -> ColumnElement[str]:
    """Return the id of a row as text, compared by code point."""
    # A column may be nocase: for it P1 and p1 are equal, for us they are two persons.
    text = warehouse.dialect.id_text(warehouse.persons_table.c.person_id)
    return warehouse.dialect.collate_binary(text)


def can_use_id_index(warehouse: Warehouse) -> bool:
    """Return whether the ids are declared as text or integers, so that `equals_id` may be used.

    SQLite compares 1 and '1' as different where a column has no type, and rounds other numbers.
    """
    return warehouse.dialect.can_use_id_index(warehouse.persons_table.c.person_id)


def equals_id(warehouse: Warehouse, wanted_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that a row has the id wanted as text, by the index of the ids.

    Where types are loose, rows whose id is not of the declared type may be missed; `SourceRows` and
    `new_persons` then compare again by text. See `Dialect.equals_id`.
    """
    return warehouse.dialect.equals_id(warehouse.persons_table.c.person_id, wanted_id)


class SourceRows:
    """A read of persons: the columns that every caller gets, and the requested ones that exist.

    `given` names columns that the caller's query supplies in place of the source's.
    """

    def __init__(
        self, warehouse: Warehouse, columns: Sequence[str], given: Sequence[str] = ()
    ) -> None:
        self._warehouse = warehouse
        self._persons = warehouse.persons_table
        existing = [name for name in columns if name in self._persons.c]
        order = dict.fromkeys([*_FIXED, "created_at", "owner_strategy", *given, *existing])
        self._order = list(order)
        # A column of the source may have any name, also that of a column of the ledger.
        cells = [name for name in order if name not in {*_FIXED, *given}]
        self._cells = {f"cell_{number}": name for number, name in enumerate(cells)}

    def read(self, wanted: Subquery, joined: FromClause, complete: Complete) -> pd.DataFrame:
        """Return one row per person wanted, with `row_count` and `source_version`. `row_count` is 0
        for a person whose row no longer exists.

        `joined` is `wanted` with its joins; `complete` adds columns and conditions to the query.
        """
        with self._warehouse.reading() as connection:
            rows = None
            if can_use_id_index(self._warehouse):
                query = complete(self._by_index(wanted, joined))
                rows = _one_row_each(self._warehouse.read_frame(connection, query, _TYPES))
            if rows is None or self._may_miss(rows):
                rows = _one_row_each(self._by_text(connection, wanted, joined, complete))
            # The join by id does not return rows without an id, which keeps it fast.
            has_no_id = rows["person_id"] == ""
            if has_no_id.any():
                for name, cells in self._read_without_id(connection).items():
                    rows.loc[has_no_id, name] = cells[0]
        rows["source_version"] = _version_of_all(rows)
        return rows

    def format_rows(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return rows of `read` in their final form: columns in order, text normalised."""
        found = rows[[*self._cells]].rename(columns=self._cells)
        given = [name for name in self._order if name in rows and name not in found]
        result = pd.concat([rows[given], found], axis=1).assign(
            row_count=rows["row_count"].astype("int64"),
            attempt_count=rows["attempt_count"].astype("int64"),
            source_changed_at=_instants(rows["latest"]),
        )
        for name in self._cells.values():
            result[name] = self._format(name, result[name])
        return result[self._order].reset_index(drop=True)

    def _by_index(self, wanted: Subquery, joined: FromClause) -> Select[Any]:
        source = joined.outerjoin(self._persons, equals_id(self._warehouse, wanted.c.person_id))
        is_there = self._persons.c.person_id.is_not(None).label("is_there")
        return select(
            wanted.c.person_id, is_there, self._version().label("latest"), *self._texts()
        ).select_from(source)

    def _by_text(
        self, connection: Connection, wanted: Subquery, joined: FromClause, complete: Complete
    ) -> pd.DataFrame:
        """Do the same without the index: one scan of all rows, however many persons are wanted.

        Two queries and a merge, because SQLite's planner used a nested loop without an index.
        """
        text = id_text(self._warehouse)
        rows = select(text.label("person_id"), self._version().label("latest"), *self._texts())
        rows = rows.where(text.in_(select(wanted.c.person_id)))
        found = self._warehouse.read_frame(connection, rows).assign(is_there=True)
        query = complete(select(wanted.c.person_id).select_from(joined))
        requested = self._warehouse.read_frame(connection, query, _TYPES)
        merged = requested.merge(found, on="person_id", how="left")
        return merged.assign(is_there=merged["is_there"].notna())

    def _may_miss(self, rows: pd.DataFrame) -> bool:
        """Return whether a person was not found whose id may be of another type."""
        is_missing = (rows["row_count"] == 0) & (rows["person_id"] != "")
        return self._warehouse.dialect.has_loose_types and bool(is_missing.any())

    def _texts(self) -> list[ColumnElement[Any]]:
        return [self._text(name).label(cell) for cell, name in self._cells.items()]

    def _text(self, name: str) -> ColumnElement[Any]:
        if name not in self._persons.c:
            return cast(null(), Text)
        source = self._persons.c[name]
        if isinstance(source.type, Boolean):
            # SQLite stores 1 and 0.
            return case(
                (source.is_(true()), "true"),
                (source.is_(false()), "false"),
                else_=cast(source, Text),
            )
        return cast(source, Text)

    def _version(self) -> ColumnElement[Any]:
        exists = "updated_at" in self._persons.c
        return cast(self._persons.c.updated_at if exists else null(), Text)

    def _read_without_id(self, connection: Connection) -> pd.DataFrame:
        """Return the rows without an id as one: their count and latest version, one's cells."""
        condition = has_no_id(self._persons)
        latest = func.max(self._warehouse.dialect.collate_binary(self._version()))
        counts = [func.count().label("row_count"), latest.label("latest")]
        counted = select(*counts).select_from(self._persons).where(condition)
        texts = select(*self._texts()).select_from(self._persons).where(condition).limit(1)
        found = self._warehouse.read_frame(connection, counted, _TYPES)
        return found.join(self._warehouse.read_frame(connection, texts))

    def _format(self, name: str, texts: pd.Series[str]) -> pd.Series[str]:
        if name not in self._persons.c:
            return texts
        type_ = self._persons.c[name].type
        if isinstance(type_, NUMBERS):
            return _plain_numbers(texts)
        return _iso(texts) if isinstance(type_, DateTime) else texts


def _one_row_each(rows: pd.DataFrame) -> pd.DataFrame:
    counted = rows.assign(row_count=rows["is_there"].astype("int64"))
    is_repeated = counted["person_id"].duplicated(keep=False)
    if not is_repeated.any():
        return counted
    groups = counted[is_repeated].groupby("person_id")
    counted.loc[is_repeated, "row_count"] = groups["row_count"].transform("sum")
    counted.loc[is_repeated, "latest"] = groups["latest"].transform("max")
    return counted.drop_duplicates("person_id", ignore_index=True)


def _version_of_all(rows: pd.DataFrame) -> pd.Series[str]:
    # As `new_persons` formats it in SQL: the number of rows is part of the version.
    several = rows["latest"] + " in " + rows["row_count"].astype("str") + " rows"
    return rows["latest"].where(rows["row_count"] <= 1, several)


def _instants(texts: pd.Series[str]) -> pd.Series[pd.Timestamp]:
    read = pd.to_datetime(texts, errors="coerce", utc=True, format="ISO8601")
    return read.dt.tz_localize(None).dt.as_unit("us")


def _plain_numbers(texts: pd.Series[str]) -> pd.Series[str]:
    """Return digits and a point: no exponent, and no `.0` that only shows a float column."""
    plain = texts.mask(texts == "NaN").str.removesuffix(".0")
    is_exponential = plain.str.fullmatch(_EXPONENT).fillna(False).astype(bool)
    if is_exponential.any():
        # Few: databases write an exponent only for very large and very small numbers.
        plain[is_exponential] = plain[is_exponential].map(_without_exponent).astype("str")
    return plain


def _without_exponent(text: str) -> str:
    return format(Decimal(text), "f")


def _iso(texts: pd.Series[str]) -> pd.Series[str]:
    # PostgreSQL's sessions are in UTC, so +00 is the only offset there is.
    joined = texts.str.replace(" ", "T", n=1, regex=False)
    return joined.str.replace(r"\+00$", "Z", regex=True)
