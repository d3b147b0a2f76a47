"""Make the result files of an upload from whole columns of bytes, without a Python object per row.

Salesforce takes minutes for this. Here it has to cost almost nothing, or the sink is what is
measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

_LINE_FEED, _QUOTE, _ZERO = ord("\n"), ord('"'), ord("0")
_ID_DIGITS = 12
# The checksum says which letters are capitals. It is the same for all ids: only Q is a letter.
_ID_START, _ID_END = b"00Q", b"EAA"
_REJECTION = b'"","FIELD_CUSTOM_VALIDATION_EXCEPTION:The sink rejects it:Company --",'


@dataclass(frozen=True)
class ResultFiles:
    """The results of a job: the three files, and the numbers of rows created and failed."""

    successful: bytes | pa.Buffer
    failed: bytes | pa.Buffer
    unprocessed: bytes
    created_count: int
    failed_count: int


def make_results(upload: bytes | bytearray, first_number: int, failed_share: float) -> ResultFiles:
    """Return the results: each row gets an id from `first_number` on, but a random share fails.

    Rows are returned to the byte. The same upload with the same number has the same results.
    """
    header, rows = split_rows(upload)
    is_failed = np.random.default_rng(first_number).random(len(rows)) < failed_share
    ids = record_ids(first_number, len(rows))
    successful = _join(b'"', ids, b'","true",', rows)
    if is_failed.any():
        successful = successful.filter(pa.array(~is_failed))
    failed = _join(_REJECTION, rows.filter(pa.array(is_failed)))
    return ResultFiles(
        successful=_file(b'"sf__Id","sf__Created",' + header, successful),
        failed=_file(b'"sf__Id","sf__Error",' + header, failed),
        unprocessed=header,
        created_count=len(successful),
        failed_count=len(failed),
    )


def split_rows(upload: bytes | bytearray) -> tuple[bytes, pa.Array]:
    """Return the header line, and each row with its line feed. One in quotes ends no row."""
    if upload and upload[-1] != _LINE_FEED:
        upload = bytes(upload) + b"\n"
    cells = np.frombuffer(upload, dtype=np.uint8)
    ends = np.flatnonzero(cells == _LINE_FEED) + 1
    if not len(ends):
        return b"", pa.array([], pa.large_binary())
    starts = np.concatenate(([0], ends[:-1]))
    # The number of quotes per line, modulo 256: all that matters is whether it is odd.
    quotes = np.add.reduceat((cells == _QUOTE).view(np.uint8), starts, dtype=np.uint8)
    is_inside = np.bitwise_xor.accumulate(quotes & 1).astype(bool)
    row_ends = ends[~is_inside].astype(np.int64)
    rows = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(row_ends) - 1, [None, pa.py_buffer(row_ends), pa.py_buffer(upload)]
    )
    return bytes(upload[: row_ends[0]]), rows


def record_ids(first_number: int, count: int) -> pa.Array:
    """Return `count` ids of leads in ascending order, 18 characters with a valid checksum."""
    numbers = np.arange(first_number, first_number + count, dtype=np.int64)
    width = len(_ID_START) + _ID_DIGITS + len(_ID_END)
    letters = np.empty((count, width), dtype=np.uint8)
    letters[:, :3] = np.frombuffer(_ID_START, dtype=np.uint8)
    letters[:, -3:] = np.frombuffer(_ID_END, dtype=np.uint8)
    for column in range(width - 4, 2, -1):
        numbers, digit = np.divmod(numbers, 10)
        letters[:, column] = digit + _ZERO
    offsets = np.arange(0, (count + 1) * width, width, dtype=np.int64)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(letters.tobytes())]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), count, buffers)


def read_columns(successful: bytes | pa.Buffer, fields: list[str]) -> pa.Table:
    """Return these fields of the leads that a job created. A field not uploaded is blank."""
    table = pa.csv.read_csv(
        pa.BufferReader(successful),
        read_options=pa.csv.ReadOptions(block_size=8 << 20),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            include_columns=["sf__Id", *(field for field in fields if field != "Id")],
            include_missing_columns=True,
            column_types=dict.fromkeys(["sf__Id", *fields], pa.string()),
        ),
    )
    columns = [table["sf__Id" if field == "Id" else field] for field in fields]
    texts = [column.cast(pa.string()).fill_null("") for column in columns]
    return pa.table(texts, names=fields)


def _join(*parts: bytes | pa.Array) -> pa.Array:
    cells = [pa.scalar(p, pa.large_binary()) if isinstance(p, bytes) else p for p in (*parts, b"")]
    return pc.binary_join_element_wise(*cells)


def _file(header: bytes, rows: pa.Array) -> bytes | pa.Buffer:
    if not len(rows):
        return header
    # The data buffer of an Arrow column holds the rows one after the other. With the header as its
    # first value the buffer is the file.
    lines = pa.concat_arrays([pa.array([bytes(header)], pa.large_binary()), rows])
    return lines.buffers()[2].slice(0, pc.sum(pc.binary_length(lines)).as_py())
