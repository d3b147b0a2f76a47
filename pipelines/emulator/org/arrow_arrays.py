"""Create Arrow arrays without `pa.array`, which would import pandas (half a second and 40 MB)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]


def strings(texts: Sequence[str]) -> pa.StringArray:
    """Return texts as an array."""
    encoded = [text.encode() for text in texts]
    ends = np.zeros(len(encoded) + 1, np.int32)
    np.cumsum([len(text) for text in encoded], out=ends[1:])
    return pa.StringArray.from_buffers(
        len(encoded), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))
    )


def constant(text: str) -> pa.StringScalar:
    """Return one text for every row."""
    return strings([text])[0]


def take_rows(column: pa.StringArray, rows: Ints) -> pa.StringArray:
    """Return the texts of these rows, in their order."""
    buffers = [None, pa.py_buffer(rows.astype(np.int64))]
    return column.take(pa.Array.from_buffers(pa.int64(), len(rows), buffers))


def as_mask(flags: Flags) -> pa.BooleanArray:
    """Return flags as Arrow's kernels expect them."""
    buffers = [None, pa.py_buffer(flags.astype(np.uint8))]
    return pa.Array.from_buffers(pa.uint8(), len(flags), buffers).cast(pa.bool_())


def as_flags(mask: pa.BooleanArray) -> Flags:
    """Return the result of a kernel as numpy flags."""
    return np.frombuffer(mask.cast(pa.uint8()).buffers()[1], np.uint8, len(mask)).astype(np.bool_)


def text_bytes(column: pa.StringArray) -> tuple[Ints, Bytes]:
    """Return the offsets of a column's texts, and the bytes that contain them."""
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    return ends.astype(np.int64), np.frombuffer(data or b"", np.uint8)
