"""The rows of the persons table as text, one row a person, joined to whoever is wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd
from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    DateTime,
    Enum,
    Float,
    FromClause,
    Integer,
    Numeric,
    Select,
    String,
    Subquery,
    Table,
    Text,
    and_,
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
from pipelines.warehouse.engines.sqlite import SQLite

# Trimming by itself takes blanks only; a person whose id is a tab has none either.
_WHITE_SPACE = " \t\n\r\v\f\u00a0\u200b"
_EXPONENT = r"-?\d+(?:\.\d+)?[eE][+-]?\d+"
# SQLAlchemy 2.1 no longer makes a Float a kind of Numeric.
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
    """Whether a row's id is null or nothing but white space."""
    id_ = persons.c.person_id
    return or_(id_.is_(None), func.trim(cast(id_, Text), _WHITE_SPACE) == "")


def id_text(warehouse: Warehouse) -> ColumnElement[str]:
    """The id of a row as text, which compares by code point."""
    # A column may be nocase: to it P1 and p1 are one person, and to us they are two.
    text = warehouse.dialect.id_text(warehouse.persons_table.c.person_id)
    return warehouse.dialect.collate_binary(text)


def has_typed_ids(warehouse: Warehouse) -> bool:
    """Whether the ids are declared as text or integers, so that `same_id` may use their index.

    SQLite compares 1 and '1' as different where a column has no type, and rounds other numbers.
    """
    type_ = warehouse.persons_table.c.person_id.type
    is_text_or_integer = isinstance(type_, (String, Integer)) and not isinstance(type_, Enum)
    return is_text_or_integer or not warehouse.dialect.has_loose_types


def same_id(warehouse: Warehouse, wanted_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a row of the persons table has the id wanted as text, by its index where it has one.

    Expects typed ids. Where types are loose, rows whose id is not of the declared type may be
    missed; `SourceRows` and `new_persons` then look again by text. On a strict engine with numbers
    for ids the text wanted has to be a number, or empty.
    """
    id_ = warehouse.persons_table.c.person_id
    if isinstance(warehouse.dialect, SQLite):
        # It gives the text the column's affinity, where cast('x' as integer) would be 0. Binary,
        # because a foreign column may be nocase.
        is_same = warehouse.dialect.collate_binary(wanted_id) == id_
        if isinstance(id_.type, String):
            return is_same
        # A number too large for an integer is kept rounded: several are equal to one text. Not the
        # bare column, or the planner scans the persons and looks up whom it wants by this.
        exact = case((func.typeof(id_) != "real", cast(id_, Text)))
        return and_(is_same, exact == wanted_id.concat(""))
    if isinstance(id_.type, String) and not isinstance(id_.type, Enum):
        # Not binary here: PostgreSQL would pass over an index in the column's own collation.
        return wanted_id == id_
    if isinstance(id_.type, Integer):
        return case((wanted_id != "", cast(wanted_id, BigInteger))) == id_
    return wanted_id == cast(id_, Text)


class SourceRows:
    """What to read of persons: what every caller gets, and the columns asked for that exist.

    `given` names columns that the query brings along itself, in place of the source's.
    """

    def __init__(
        self, warehouse: Warehouse, columns: Sequence[str], given: Sequence[str] = ()
    ) -> None:
        self._warehouse = warehouse
        self._persons = warehouse.persons_table
        there = [name for name in columns if name in self._persons.c]
        order = dict.fromkeys([*_FIXED, "created_at", "owner_strategy", *given, *there])
        self._order = list(order)
        # A column of the source may be called anything, also as one of the ledger's.
        cells = [name for name in order if name not in {*_FIXED, *given}]
        self._cells = {f"cell_{number}": name for number, name in enumerate(cells)}

    def read(self, wanted: Subquery, beside: FromClause, complete: Complete) -> pd.DataFrame:
        """Return the rows of the persons wanted, one row a person, with row_count and
        source_version; row_count is 0 for persons whose row is gone.

        `beside` is `wanted` and what joins it; `complete` adds columns and conditions to the query.
        """
        with self._warehouse.reading() as connection:
            rows = None
            if has_typed_ids(self._warehouse):
                query = complete(self._by_index(wanted, beside))
                rows = _one_row_each(self._warehouse.read_frame(connection, query, _TYPES))
            if rows is None or self._may_hide(rows):
                rows = _one_row_each(self._by_text(connection, wanted, beside, complete))
            # The join by id cannot see those without one, and may be quick for it.
            is_nobody = rows["person_id"] == ""
            if is_nobody.any():
                for name, cells in self._read_without_id(connection).items():
                    rows.loc[is_nobody, name] = cells[0]
        rows["source_version"] = _version_of_all(rows)
        return rows

    def tidy(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows that `read` gave as callers get them: columns in order, text normalised."""
        found = rows[[*self._cells]].rename(columns=self._cells)
        given = [name for name in self._order if name in rows and name not in found]
        tidy = pd.concat([rows[given], found], axis=1).assign(
            row_count=rows["row_count"].astype("int64"),
            attempt_count=rows["attempt_count"].astype("int64"),
            source_changed_at=_instants(rows["latest"]),
        )
        for name in self._cells.values():
            tidy[name] = self._spelt(name, tidy[name])
        return tidy[self._order].reset_index(drop=True)

    def _by_index(self, wanted: Subquery, beside: FromClause) -> Select[Any]:
        source = beside.outerjoin(self._persons, same_id(self._warehouse, wanted.c.person_id))
        is_there = self._persons.c.person_id.is_not(None).label("is_there")
        return select(
            wanted.c.person_id, is_there, self._version().label("latest"), *self._texts()
        ).select_from(source)

    def _by_text(
        self, connection: Connection, wanted: Subquery, beside: FromClause, complete: Complete
    ) -> pd.DataFrame:
        """The same without the index: one look at every row, however many persons are wanted.

        Two queries and a merge, because SQLite's planner joined them by a loop within a loop.
        """
        text = id_text(self._warehouse)
        rows = select(text.label("person_id"), self._version().label("latest"), *self._texts())
        rows = rows.where(text.in_(select(wanted.c.person_id)))
        found = self._warehouse.read_frame(connection, rows).assign(is_there=True)
        query = complete(select(wanted.c.person_id).select_from(beside))
        asked = self._warehouse.read_frame(connection, query, _TYPES)
        merged = asked.merge(found, on="person_id", how="left")
        return merged.assign(is_there=merged["is_there"].notna())

    def _may_hide(self, rows: pd.DataFrame) -> bool:
        """Whether somebody was not found whose id may be of another type than the column."""
        is_gone = (rows["row_count"] == 0) & (rows["person_id"] != "")
        return self._warehouse.dialect.has_loose_types and bool(is_gone.any())

    def _texts(self) -> list[ColumnElement[Any]]:
        return [self._text(name).label(cell) for cell, name in self._cells.items()]

    def _text(self, name: str) -> ColumnElement[Any]:
        if name not in self._persons.c:
            return cast(null(), Text)
        source = self._persons.c[name]
        if isinstance(source.type, Boolean):
            # SQLite keeps 1 and 0.
            return case(
                (source.is_(true()), "true"),
                (source.is_(false()), "false"),
                else_=cast(source, Text),
            )
        return cast(source, Text)

    def _version(self) -> ColumnElement[Any]:
        there = "updated_at" in self._persons.c
        return cast(self._persons.c.updated_at if there else null(), Text)

    def _read_without_id(self, connection: Connection) -> pd.DataFrame:
        """The rows without an id as one: how many, their latest version, the cells of one."""
        is_one = has_no_id(self._persons)
        latest = func.max(self._warehouse.dialect.collate_binary(self._version()))
        counts = [func.count().label("row_count"), latest.label("latest")]
        counted = select(*counts).select_from(self._persons).where(is_one)
        texts = select(*self._texts()).select_from(self._persons).where(is_one).limit(1)
        found = self._warehouse.read_frame(connection, counted, _TYPES)
        return found.join(self._warehouse.read_frame(connection, texts))

    def _spelt(self, name: str, texts: pd.Series[str]) -> pd.Series[str]:
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
    # As `new_persons` spells it in SQL: the number of rows belongs to the version.
    several = rows["latest"] + " in " + rows["row_count"].astype("str") + " rows"
    return rows["latest"].where(rows["row_count"] <= 1, several)


def _instants(texts: pd.Series[str]) -> pd.Series[pd.Timestamp]:
    read = pd.to_datetime(texts, errors="coerce", utc=True, format="ISO8601")
    return read.dt.tz_localize(None).dt.as_unit("us")


def _plain_numbers(texts: pd.Series[str]) -> pd.Series[str]:
    """Digits and a point: no exponent, no `.0` that only says that the column is a float."""
    plain = texts.mask(texts == "NaN").str.removesuffix(".0")
    is_exponential = plain.str.fullmatch(_EXPONENT).fillna(False).astype(bool)
    if is_exponential.any():
        # Few: databases write an exponent only for the very large and the very small.
        plain[is_exponential] = plain[is_exponential].map(_without_exponent).astype("str")
    return plain


def _without_exponent(text: str) -> str:
    return format(Decimal(text), "f")


def _iso(texts: pd.Series[str]) -> pd.Series[str]:
    # PostgreSQL's sessions are in UTC, so +00 is the only offset there is.
    joined = texts.str.replace(" ", "T", n=1, regex=False)
    return joined.str.replace(r"\+00$", "Z", regex=True)
