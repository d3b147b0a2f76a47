"""Convert between a database's rows, Arrow and pandas, by column; null and empty text differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

_ARROW_TYPES: dict[str, pa.DataType] = {
    "str": pa.string(),
    "datetime64[us]": pa.timestamp("us"),
    "boolean": pa.bool_(),
    "Int64": pa.int64(),
    "float64": pa.float64(),
}
_PANDAS_TYPES = {
    pa.string(): pd.StringDtype(na_value=np.nan),
    pa.bool_(): pd.BooleanDtype(),
    pa.int64(): pd.Int64Dtype(),
}


def from_frame(frame: pd.DataFrame) -> pa.Table:
    """Return the frame as an Arrow table, without its index."""
    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)


def to_frame(rows: pa.Table, types: Mapping[str, str]) -> pd.DataFrame:
    """Return the rows as a frame, each column in the pandas type given for it, else `str`."""
    wanted = (_ARROW_TYPES[types.get(name, "str")] for name in rows.column_names)
    columns = [_cast(cells, type_) for cells, type_ in zip(rows.columns, wanted, strict=True)]
    typed = pa.table(columns, names=rows.column_names)
    frame: pd.DataFrame = typed.to_pandas(types_mapper=_PANDAS_TYPES.get)
    return frame


def positions(cells: pd.Series[str], known: pd.Series[str]) -> np.ndarray:
    """Return the first position of each cell in `known`; -1 for a cell that is not in it."""
    found = pc.index_in(pa.array(cells), value_set=pa.array(known))
    places: np.ndarray = found.fill_null(-1).to_numpy()
    return places


def from_rows(rows: Sequence[tuple[Any, ...]], names: list[str]) -> pa.Table:
    """Return a driver's rows, each column in the narrowest Arrow type for all its values."""
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return pa.table([_array(cells) for cells in columns], names=names)


def from_csv(csv: pa.Buffer) -> pa.Table:
    """Read the output of PostgreSQL's COPY, header first: all text, null where it is empty."""
    return pyarrow.csv.read_csv(
        pa.BufferReader(csv),
        # A null in the only column is an empty line.
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(_header(csv), pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def to_csv(rows: pa.RecordBatch) -> bytes:
    """Write the input of PostgreSQL's COPY: values quoted and nulls not, so that they differ."""
    sink = pa.BufferOutputStream()
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="all_valid")
    pyarrow.csv.write_csv(rows, sink, options)
    csv: bytes = sink.getvalue().to_pybytes()
    return csv


def _header(csv: pa.Buffer) -> list[str]:
    # Column names contain no line feed, so the first line is the header.
    first_line = csv.slice(0, min(csv.size, 1 << 16)).to_pybytes().split(b"\n", 1)[0]
    names: list[str] = pyarrow.csv.read_csv(pa.py_buffer(first_line + b"\n")).column_names
    return names


def _array(cells: tuple[Any, ...]) -> pa.Array:
    try:
        found = pa.array(cells)
        # SQLite's texts arrive as bytes; the cast checks that they are UTF-8.
        return found.cast(pa.string()) if pa.types.is_binary(found.type) else found
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        # One column of SQLite may contain numbers, texts, and bytes that are not text.
        return pa.array([_text(cell) for cell in cells], pa.string())


def _text(cell: Any) -> str | None:
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "show_undecodable")
    return None if cell is None else str(cell)


def _cast(cells: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_boolean(wanted) and pa.types.is_string(cells.type):
        return pc.equal(cells, "t")  # PostgreSQL's format
    if pa.types.is_timestamp(wanted) and pa.types.is_string(cells.type):
        return _instants(cells)
    return cells.cast(wanted)


def _instants(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return cells.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        # With an offset, or not an instant: slower, and tolerant.
        texts = pd.Series(cells.to_pylist(), dtype="str")
        read = pd.to_datetime(texts, errors="coerce", utc=True, format="ISO8601")
        return pa.chunked_array([pa.array(read.dt.tz_localize(None).dt.as_unit("us"))])
