"""Write the lines of a result file by column, and shuffle them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.emulator.org.arrow_arrays import Ints, constant, take_rows, text_bytes
from pipelines.emulator.org.chunks import CHUNK_ROWS


def quoted_lines(
    columns: Sequence[pa.StringArray], delimiter: str, line_end: str
) -> pa.StringArray:
    """Return a CSV line for each row, with every cell quoted."""
    nothing, begin, end = constant(""), constant('"'), constant(f'"{line_end}')
    first, *others = [_doubled(column) for column in columns]
    begun = pc.binary_join_element_wise(begin, first, nothing)
    lines = pc.binary_join_element_wise(begun, *others, constant(f'"{delimiter}"'))
    return pc.binary_join_element_wise(lines, end, nothing)


def _doubled(column: pa.StringArray) -> pa.StringArray:
    _, text = text_bytes(column)
    return pc.replace_substring(column, '"', '""') if (text == ord('"')).any() else column


def shuffled_by_chunk(lines: pa.StringArray, rows: Ints, seed: str) -> dict[int, bytes]:
    """Return the shuffled lines of each chunk; `rows` are the lines' row numbers in the file.

    The place of a row depends only on the seed and its number, not on how many chunks are written
    together.
    """
    if not len(rows):
        return {}
    chunks = rows // CHUNK_ROWS
    order = np.lexsort((_random_numbers(rows, seed), chunks))
    shuffled = take_rows(lines, order)
    ends, _ = text_bytes(shuffled)
    text = shuffled.buffers()[2]
    numbers = np.unique(chunks)
    firsts = np.append(np.searchsorted(chunks[order], numbers), len(rows))
    return {
        int(chunk): text[int(ends[begin]) : int(ends[end])].to_pybytes()
        for chunk, begin, end in zip(numbers, firsts[:-1], firsts[1:], strict=True)
    }


def _random_numbers(rows: Ints, seed: str) -> npt.NDArray[np.uint64]:
    """Return a pseudo-random number for each row (the mixing steps of splitmix64)."""
    start = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big")
    mixed = np.uint64(start) + rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))
