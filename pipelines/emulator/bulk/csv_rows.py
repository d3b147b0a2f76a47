"""Read the rows of an uploaded file, by column where they are well-formed, else one by one.

Nothing is trimmed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from pipelines.emulator.bulk.csv_blocks import Block, join_blocks, record_blocks
from pipelines.emulator.bulk.uploads import BrokenRow, Layout, RowCells, read_row
from pipelines.emulator.org.arrow_arrays import Ints, strings
from pipelines.emulator.org.chunks import CHUNK_ROWS

# Salesforce's own internal batch size. Larger windows gain nothing and hold the lock longer.
WINDOW_ROWS = 10_000
WINDOW_BYTES = 4_000_000
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Rows:
    """Consecutive rows of a file: the well-formed ones by column, and the errors of the others."""

    first: int
    count: int
    whole: Ints  # row numbers, counted from `first`, of the rows that `texts` holds
    texts: list[pa.StringArray]
    broken: dict[int, str]

    def part(self, start: int, end: int) -> Rows:
        """Return some of the rows, counted from `first`."""
        low, high = (int(at) for at in np.searchsorted(self.whole, [start, end]))
        return Rows(
            self.first + start,
            end - start,
            self.whole[low:high] - start,
            [column.slice(low, high - low) for column in self.texts],
            {row - start: why for row, why in self.broken.items() if start <= row < end},
        )


def open_upload(pieces: Iterable[bytes], layout: Layout) -> tuple[str | None, Iterator[Block]]:
    """Return the header record (None where there is none) and the blocks after it."""
    blocks = record_blocks(pieces, layout)
    for block in blocks:
        if len(block):
            remaining = block.part(1, len(block))
            return record_text(block, 0, layout), _chained(remaining, blocks)
    return None, iter(())


def _chained(first: Block, others: Iterator[Block]) -> Iterator[Block]:
    yield first
    yield from others


def record_text(block: Block, row: int, layout: Layout) -> str:
    """Return one record as text, without its line ending."""
    text = block.record(row).decode("utf-8").removesuffix("\n")
    return text.removesuffix("\r") if layout.line_ending == "CRLF" else text


def single_rows(blocks: Iterable[Block], layout: Layout, skip: int) -> Iterator[RowCells]:
    """Yield the rows one by one, from row number `skip` on."""
    for block in _from_row(blocks, skip):
        for row in range(len(block)):
            yield read_row(record_text(block, row, layout), layout.delimiter)


def read_windows(blocks: Iterable[Block], layout: Layout, width: int, skip: int) -> Iterator[Rows]:
    """Yield the rows in windows of whole chunks, from row number `skip` on."""
    first = skip
    for block in _windows(_from_row(blocks, skip)):
        yield _rows(block, layout, width, first)
        first += len(block)


def _from_row(blocks: Iterable[Block], skip: int) -> Iterator[Block]:
    for block in blocks:
        if skip < len(block):
            yield block.part(skip, len(block)) if skip else block
        skip = max(0, skip - len(block))


def _windows(blocks: Iterable[Block]) -> Iterator[Block]:
    pending: list[Block] = []
    for block in blocks:
        pending.append(block)
        if (
            sum(map(len, pending)) < WINDOW_ROWS
            and sum(len(b.data) for b in pending) < WINDOW_BYTES
        ):
            continue
        whole, start = join_blocks(pending), 0
        while size := _window_size(whole, start):
            yield whole.part(start, start + size)
            start += size
        pending = [whole.part(start, len(whole))]
    last = join_blocks(pending)
    if len(last):
        yield last


def _window_size(block: Block, start: int) -> int:
    """Return how many rows make a full window of whole chunks, or 0 where there are too few."""
    rows = min(len(block) - start, WINDOW_ROWS)
    if rows == WINDOW_ROWS:
        return WINDOW_ROWS
    many_bytes = len(block.data) - (int(block.starts[start]) if rows else 0) >= WINDOW_BYTES
    return rows - rows % CHUNK_ROWS if many_bytes else 0


def _rows(block: Block, layout: Layout, width: int, first: int) -> Rows:
    broken: dict[int, str] = {}
    pieces: list[bytes] = []
    done = 0
    for row in np.flatnonzero(block.cells != width).tolist():
        cells = read_row(record_text(block, row, layout), layout.delimiter)
        pieces.append(block.data[done : block.starts[row]])
        done = block.ends[row]
        if isinstance(cells, BrokenRow):
            broken[row] = cells.message
        elif len(cells) != width:
            broken[row] = (
                "Number of fields in header is different from the row. "
                f"header = {width} row = {len(cells)}"
            )
        else:
            pieces.append(csv_line(cells, layout.delimiter))
    pieces.append(block.data[done:])
    whole = np.delete(np.arange(len(block)), list(broken))
    texts = _parsed(b"".join(pieces), layout.delimiter, width)
    if len(texts[0]) != len(whole):
        raise AssertionError(f"{len(whole)} rows were cut into {len(texts[0])}")
    return Rows(first, len(block), whole, texts, broken)


def _parsed(data: bytes, delimiter: str, width: int) -> list[pa.StringArray]:
    if data.startswith(BYTE_ORDER_MARK):
        data = b"\n" + data  # Arrow would drop the mark, which is the text of a cell here
    if not data.strip(b"\r\n"):
        return [strings([])] * width
    names = [str(number) for number in range(width)]
    table = arrow_csv.read_csv(
        pa.BufferReader(data),
        read_options=arrow_csv.ReadOptions(
            column_names=names, block_size=len(data) + 1, use_threads=False
        ),
        parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=False,
            quoted_strings_can_be_null=False,
        ),
    )
    return [column.combine_chunks() for column in table.columns]


def csv_line(cells: Iterable[str], delimiter: str, end: str = "\n") -> bytes:
    """Return one line with every cell quoted."""
    quoted = f'"{delimiter}"'.join(cell.replace('"', '""') for cell in cells)
    return f'"{quoted}"{end}'.encode()
