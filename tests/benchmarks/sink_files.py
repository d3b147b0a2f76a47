"""Result files made from an upload without reading it: whole columns of bytes, no Python object a
row. What Salesforce would take minutes for has to cost next to nothing here, or the sink would be
what is measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

_LINE_FEED, _QUOTE, _ZERO = ord("\n"), ord('"'), ord("0")
_ID_DIGITS = 12
# Digits alone give every id of three chunks the same checksum: of 00Qnn only Q is a capital.
_ID_START, _ID_END = b"00Q", b"EAA"
_REFUSAL = b'"","FIELD_CUSTOM_VALIDATION_EXCEPTION:The sink says no:Company --",'


@dataclass(frozen=True)
class ResultFiles:
    """What a job made of its upload: the three files, and how many rows went which way."""

    successful: bytes | pa.Buffer
    failed: bytes | pa.Buffer
    unprocessed: bytes
    created_count: int
    failed_count: int


def make_results(upload: bytes | bytearray, first_number: int, failed_share: float) -> ResultFiles:
    """Every row gets an id from `first_number` on, but for a drawn share, which is refused.

    The rows are echoed to the byte as they came. Equal uploads at equal numbers fare equally.
    """
    header, rows = split_rows(upload)
    is_failed = np.random.default_rng(first_number).random(len(rows)) < failed_share
    ids = record_ids(first_number, len(rows))
    done = _join(b'"', ids, b'","true",', rows)
    refused = _join(_REFUSAL, rows.filter(pa.array(is_failed)))
    kept = done.filter(pa.array(~is_failed)) if is_failed.any() else done
    return ResultFiles(
        successful=_file(b'"sf__Id","sf__Created",' + header, kept),
        failed=_file(b'"sf__Id","sf__Error",' + header, refused),
        unprocessed=header,
        created_count=len(kept),
        failed_count=len(refused),
    )


def split_rows(upload: bytes | bytearray) -> tuple[bytes, pa.Array]:
    """The header line and each row with its line feed; a line feed in quotes ends no row."""
    if upload and upload[-1] != _LINE_FEED:
        upload = bytes(upload) + b"\n"
    cells = np.frombuffer(upload, dtype=np.uint8)
    ends = np.flatnonzero(cells == _LINE_FEED) + 1
    if not len(ends):
        return b"", pa.array([], pa.large_binary())
    starts = np.concatenate(([0], ends[:-1]))
    # Counted per line and modulo 256, which keeps what matters: whether the number is odd.
    quotes = np.add.reduceat((cells == _QUOTE).view(np.uint8), starts, dtype=np.uint8)
    is_inside = np.bitwise_xor.accumulate(quotes & 1).astype(bool)
    whole = ends[~is_inside].astype(np.int64)
    rows = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(whole) - 1, [None, pa.py_buffer(whole), pa.py_buffer(upload)]
    )
    return bytes(upload[: whole[0]]), rows


def record_ids(first_number: int, count: int) -> pa.Array:
    """So many ids of leads, 18 characters with a true checksum, in ascending order."""
    numbers = np.arange(first_number, first_number + count, dtype=np.int64)
    width = len(_ID_START) + _ID_DIGITS + len(_ID_END)
    letters = np.empty((count, width), dtype=np.uint8)
    letters[:, :3] = np.frombuffer(_ID_START, dtype=np.uint8)
    letters[:, -3:] = np.frombuffer(_ID_END, dtype=np.uint8)
    for place in range(width - 4, 2, -1):
        numbers, digit = np.divmod(numbers, 10)
        letters[:, place] = digit + _ZERO
    offsets = np.arange(0, (count + 1) * width, width, dtype=np.int64)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(letters.tobytes())]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), count, buffers)


def read_columns(successful: bytes | pa.Buffer, fields: list[str]) -> pa.Table:
    """These fields of the leads a job made; one that was not uploaded is blank."""
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
    # The rows of an Arrow column lie one behind the other: with the header in front they are the
    # file.
    whole = pa.concat_arrays([pa.array([bytes(header)], pa.large_binary()), rows])
    return whole.buffers()[2].slice(0, pc.sum(pc.binary_length(whole)).as_py())
