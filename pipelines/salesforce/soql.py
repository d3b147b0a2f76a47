"""Write SOQL queries, send them in addresses that are short enough, and read all their pages.

Values enter a query only through `format_soql`; names of fields and objects are checked to be
names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote_plus

import pandas as pd
from simple_salesforce.format import format_soql

from pipelines.salesforce.csv_files import STR
from pipelines.salesforce.session import Org

# Salesforce allows 16,384 bytes of address and headers together.
MAX_URI_BYTES: Final = 15_000
# Longer than any e-mail (80) or text field (255) that can be looked up.
MAX_VALUE_LENGTH: Final = 255

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]*")
_SURROGATE = re.compile(r"[\ud800-\udfff]")

Record = Mapping[str, Any]


def find_records(
    org: Org,
    sobject: str,
    fields: Sequence[str],
    key_field: str,
    values: Sequence[str],
    *,
    deleted_too: bool = False,
) -> Iterator[Record]:
    """Yield the records whose key is one of the values, in as few queries as addresses allow."""
    template = select(fields, sobject, f"{require_name(key_field)} IN {{values}}")
    for chunk in _chunks(values, max_bytes=MAX_URI_BYTES - len(quote_plus(template)) - 200):
        yield from query(org, format_soql(template, values=chunk), deleted_too=deleted_too)


def _chunks(values: Sequence[str], max_bytes: int) -> Iterator[list[str]]:
    chunk: list[str] = []
    used = 0
    for value in filter(_can_exist, dict.fromkeys(values)):
        size = len(quote_plus(format_soql("{}", value))) + len("%2C")
        if chunk and used + size > max_bytes:
            yield chunk
            chunk, used = [], 0
        chunk.append(value)
        used += size
    if chunk:
        yield chunk


def _can_exist(value: str) -> bool:
    # No org has such values, and an address cannot hold them; blanks never match.
    is_text = "\0" not in value and not _SURROGATE.search(value)
    return is_text and 0 < len(value.strip()) <= MAX_VALUE_LENGTH


def select(fields: Sequence[str], sobject: str, condition: str = "") -> str:
    """Return a query. Values in the condition are placeholders of `format_soql`, never text."""
    where = ("WHERE", condition) if condition else ()
    return " ".join(("SELECT", ", ".join(fields), "FROM", sobject, *where))


def query(org: Org, soql: str, *, deleted_too: bool = False) -> list[Record]:
    """Return every record that the query finds, read page by page."""
    page = org.get_json("queryAll" if deleted_too else "query", {"q": soql})
    records: list[Record] = list(page["records"])
    while not page["done"]:
        page = org.get_json(page["nextRecordsUrl"])
        records += page["records"]
    return records


def require_name(name: str) -> str:
    """Return the name of a field or object unchanged. Raise ValueError if it is no name."""
    if not _NAME.fullmatch(name):
        raise ValueError("not the name of a field or object")
    return name


def as_frame(records: Sequence[Record], **columns: str | tuple[str, type]) -> pd.DataFrame:
    """Return one column for each keyword: the record's key, with a type where it is not text."""
    # The org returns a field name in its own case, and the settings may use another.
    actual_names = {key.lower(): key for key in records[0]} if records else {}
    frame: dict[str, pd.Series] = {}
    for name, source in columns.items():
        key, kind = source if isinstance(source, tuple) else (source, None)
        key = actual_names.get(key.lower(), key)
        values = [record.get(key) for record in records]
        frame[name] = (
            pd.Series(values, dtype=STR)
            if kind is None
            else pd.Series([kind(value) for value in values], dtype=kind)
        )
    return pd.DataFrame(frame)
