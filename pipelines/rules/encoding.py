"""What a batch sends: records as CSV or JSON, and a hash of each to recognise it in the results."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from pipelines.rules.lead_fields import NUMBER_TYPES, LeadField
from pipelines.rules.leads import LEAD_FIELD_OF, join_texts
from pipelines.rules.partitions import SObject
from pipelines.rules.text import as_text, to_arrow

HASH_LENGTH = 32  # hex digits
ROWS_PER_CHUNK = 10_000


@dataclass(frozen=True)
class Payload:
    """What a batch sends: `records` are the rows, `person_ids` their persons, in the same order."""

    person_ids: pd.Series[str]
    records: pd.DataFrame
    row_hashes: pd.Series[str]

    def slice_rows(self, first: int, last: int) -> Payload:
        """Return the rows from `first` to the one before `last`."""
        return Payload(
            self.person_ids.iloc[first:last].reset_index(drop=True),
            self.records.iloc[first:last].reset_index(drop=True),
            self.row_hashes.iloc[first:last].reset_index(drop=True),
        )

    def filter_rows(self, wanted: pd.Series[bool]) -> Payload:
        """Return the wanted rows."""
        return Payload(
            self.person_ids[wanted].reset_index(drop=True),
            self.records[wanted].reset_index(drop=True),
            self.row_hashes[wanted].reset_index(drop=True),
        )


def row_hashes(records: pd.DataFrame, lead_fields: Mapping[str, LeadField]) -> pd.Series:
    """Return 32 hex digits for each row as sent; a results file gives the same for its rows.

    The hash covers the columns sorted by name, and the cells that are neither null nor "". Numbers
    and instants are left out: Salesforce returns them in another form (912260031 comes back as
    9.12260031E8). So are the `sf__` columns that Salesforce adds. Equal rows have equal hashes.
    """
    names = sorted(name for name in records.columns if _is_echoed(name, lead_fields))
    pieces = [piece for name in names for piece in _pieces(name, records[name])]
    if not pieces:
        return as_text([_digest(b"")] * len(records), records.index)
    joined = pc.binary_join_element_wise(*pieces, _text(""), null_handling="skip")
    rows = joined.cast(pa.large_binary())
    # In chunks: as Python objects, the rows of a slice are larger than everything else of it.
    chunks = (rows.slice(first, ROWS_PER_CHUNK) for first in range(0, len(rows), ROWS_PER_CHUNK))
    hashes = [_digest(row) for chunk in chunks for row in chunk.to_pylist()]
    return as_text(pa.array(hashes, pa.large_string()).to_pandas().array, records.index)


def _is_echoed(name: str, lead_fields: Mapping[str, LeadField]) -> bool:
    field = lead_fields.get(LEAD_FIELD_OF.get(name, name)) or lead_fields.get(name)
    retyped = field is not None and field.type in NUMBER_TYPES | {"datetime"}
    return not retyped and not name.startswith("sf__")


def _pieces(name: str, cells: pd.Series) -> list[pa.Array | pa.Scalar]:
    """Return name, cells and separator of a column, to be joined row by row; nothing for null."""
    column = to_arrow(cells).cast(pa.large_string())
    if pc.any(pc.equal(column, "")).as_py():
        column = pc.if_else(pc.equal(column, ""), None, column)
    # Separators that no valid cell can hold keep (a, bc) apart from (ab, c).
    pieces = [_text(f"{name}\x1f"), column, _text("\x1e")]
    return [join_texts(f"{name}\x1f", column, "\x1e")] if column.null_count else pieces


def _text(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())


def _digest(row: bytes) -> str:
    return hashlib.blake2b(row, digest_size=HASH_LENGTH // 2).hexdigest()


def upload_ranges(
    records: pd.DataFrame, *, max_rows: int, max_bytes: int
) -> Iterator[tuple[int, int]]:
    """Cut the records into uploads; yield each one's first row and the row after its last.

    `max_bytes` is compared with the largest CSV that the rows can have: every character a quote,
    which is written twice. A row that is larger alone is an upload of its own.
    """
    sizes = np.full(len(records), 3 * len(records.columns) + 1, dtype="int64")
    for column in records:
        lengths = pc.binary_length(to_arrow(records[column]).cast(pa.large_string()))
        sizes += 2 * lengths.fill_null(0).to_numpy().astype("int64")
    ends = np.cumsum(sizes)
    first = 0
    while first < len(records):
        before = ends[first - 1] if first else 0
        fitting = int(np.searchsorted(ends, before + max_bytes, side="right"))
        last = min(max(fitting, first + 1), first + max_rows)
        yield first, last
        first = last


def encode_csv(records: pd.DataFrame) -> bytes:
    """Return the records as Bulk API 2.0 wants them: UTF-8 without a mark, commas, LF, header.

    Every cell that is not null is quoted: unquoted, a carriage return ends a row for some readers.
    Null is empty, which Salesforce takes as "not set". Equal frames give equal bytes.
    """
    table = pa.Table.from_pandas(records, preserve_index=False)
    sink = io.BytesIO()
    pa.csv.write_csv(table, sink, pa.csv.WriteOptions(quoting_style="all_valid"))
    return sink.getvalue()


def to_json_records(
    records: pd.DataFrame, sobject: SObject, lead_fields: Mapping[str, LeadField]
) -> list[dict[str, Any]]:
    """Return the records as sObject collections want them: with `attributes`, without nulls.

    Numbers are JSON numbers and booleans JSON booleans. Row by row: at most 200 are sent in a call.
    """
    readers = {str(name): _reader(str(name), lead_fields) for name in records.columns}
    rows = records.astype(object).where(records.notna(), None).to_dict("records")
    return [
        {"attributes": {"type": sobject}}
        | {str(name): readers[str(name)](cell) for name, cell in row.items() if cell is not None}
        for row in rows
    ]


def _reader(name: str, lead_fields: Mapping[str, LeadField]) -> Callable[[str], Any]:
    field = lead_fields.get(LEAD_FIELD_OF.get(name, name)) or lead_fields.get(name)
    if field is not None and field.type in NUMBER_TYPES | {"boolean"}:
        return json.loads  # 12, 7.5, true: plain forms are JSON already
    return str
