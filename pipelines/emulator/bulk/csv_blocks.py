"""Split an uploaded file into records, one block of bytes at a time.

A record ends at a line feed outside quotes. For a whole block numpy finds where its records end and
how many cells each has. Records that are not clearly well-formed are marked UNSURE and left to the
exact reader in `csv_rows.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from pipelines.emulator.bulk.uploads import Layout, checked_utf8
from pipelines.emulator.org.arrow_arrays import Bytes, Flags, Ints

QUOTE, LF, CR = b'"\n\r'
MAX_RECORD = 400_000
MAX_PLAIN_RECORD = 131_072  # a longer cell may exceed the limit of Python's csv module
UNSURE = 0


@dataclass(frozen=True)
class Block:
    """Consecutive records: where each starts and ends (with its line ending), and its cell count.

    The cell count is UNSURE where only the exact reader can tell.
    """

    data: bytes
    starts: Ints
    ends: Ints
    cells: Ints

    def __len__(self) -> int:
        return len(self.ends)

    def record(self, row: int) -> bytes:
        """Return one record with its line ending."""
        return self.data[self.starts[row] : self.ends[row]]

    def part(self, first: int, last: int) -> Block:
        """Return the records from `first` up to, not including, `last`."""
        starts, ends = self.starts[first:last], self.ends[first:last]
        begin, end = (int(starts[0]), int(ends[-1])) if len(ends) else (0, 0)
        return Block(self.data[begin:end], starts - begin, ends - begin, self.cells[first:last])


def join_blocks(blocks: list[Block]) -> Block:
    """Return several blocks as one."""
    offsets = np.cumsum([0, *(len(block.data) for block in blocks)])[:-1]
    return Block(
        b"".join(block.data for block in blocks),
        _concatenated([b.starts + offset for b, offset in zip(blocks, offsets, strict=True)]),
        _concatenated([b.ends + offset for b, offset in zip(blocks, offsets, strict=True)]),
        _concatenated([block.cells for block in blocks]),
    )


def _concatenated(arrays: list[Ints]) -> Ints:
    return np.concatenate([np.empty(0, np.int64), *arrays])


def record_blocks(pieces: Iterable[bytes], layout: Layout) -> Iterator[Block]:
    """Yield the file's records in blocks about as long as the pieces, without blank lines."""
    remainder, new_pieces = b"", list[bytes]()
    for piece in checked_utf8(pieces):
        new_pieces.append(piece)
        # An incomplete record is scanned again only when it has doubled, so the work stays linear.
        if sum(map(len, new_pieces)) >= len(remainder):
            block, remainder = _whole_records(b"".join((remainder, *new_pieces)), layout)
            new_pieces = []
            yield block
    block, remainder = _whole_records(b"".join((remainder, *new_pieces, b"\n")), layout)
    # Only a file that ends inside quotes leaves a remainder here.
    yield join_blocks([block, _unsure(remainder)] if remainder.strip(b"\n") else [block])


def _unsure(record: bytes) -> Block:
    zero, end = np.zeros(1, np.int64), np.array([len(record)], np.int64)
    return Block(record, zero, end, np.array([UNSURE], np.int64))


def _whole_records(data: bytes, layout: Layout) -> tuple[Block, bytes]:
    """Return the complete records of these bytes, and the incomplete remainder."""
    parts: list[Block] = []
    while True:
        block = _scan(data, layout)
        row, length = _first_overlong(block)
        if length is None:
            parts.append(block.part(0, len(block)))
            end = int(block.ends[-1]) if len(block) else 0
            return _without_blanks(join_blocks(parts), layout), data[end:]
        begin = int(block.ends[row - 1]) if row else 0
        parts += [block.part(0, row), _unsure(data[begin : begin + length])]
        data = data[begin + length :]


def _first_overlong(block: Block) -> tuple[int, int | None]:
    """Return the first record that is too long (the remainder counts as one), and where to end
    it.
    """
    last = int(block.ends[-1]) if len(block) else 0
    sizes = np.append(block.ends - block.starts, len(block.data) - last)
    for row in np.flatnonzero(sizes > MAX_RECORD):
        begin = int(block.ends[row - 1]) if row else 0
        length = _overlong_end(block.data[begin : begin + int(sizes[row])])
        if length is not None:
            return int(row), length
    return 0, None


def _overlong_end(record: bytes) -> int | None:
    """Return where to end a record with an unclosed quote, so that it does not swallow the file."""
    characters = position = 0
    for number, line in enumerate(record.split(b"\n")[:-1]):
        characters += len(line.decode("utf-8", "replace"))
        position += len(line) + 1
        if number and characters > MAX_RECORD:
            return position if position < len(record) else None
    return None


def _scan(data: bytes, layout: Layout) -> Block:
    """Return all records that end in these bytes, blank ones included."""
    text = np.frombuffer(data, np.uint8)
    quote, newline = text == QUOTE, text == LF
    inside: Flags = np.bitwise_xor.accumulate(quote)
    delimiter = text == ord(layout.delimiter)
    ends: Ints = np.flatnonzero(newline & ~inside) + 1
    starts = np.append(0, ends[:-1])[: len(ends)]
    delimiters = np.flatnonzero(delimiter & ~inside)
    cells: Ints = np.diff(np.searchsorted(delimiters, ends), prepend=0) + 1
    unsure = np.searchsorted(ends, _odd_bytes(text, quote, inside, delimiter, layout), "right")
    cells[unsure[unsure < len(ends)]] = UNSURE
    cells[ends - starts > MAX_PLAIN_RECORD] = UNSURE
    return Block(data, starts, ends, cells)


def _odd_bytes(text: Bytes, quote: Flags, inside: Flags, delimiter: Flags, layout: Layout) -> Ints:
    """Return the positions of misplaced quotes and carriage returns."""
    cell_edge = delimiter | (text == LF) | quote
    line_end = np.zeros_like(quote)
    carriage = text == CR
    if layout.line_ending == "CRLF":
        line_end[:-1] = carriage[:-1] & (text[1:] == LF)
    odd = carriage & ~inside & ~line_end
    odd[1:] |= (quote & inside)[1:] & ~cell_edge[:-1]
    odd[:-1] |= (quote & ~inside)[:-1] & ~(cell_edge | line_end)[1:]
    return np.flatnonzero(odd)


def _without_blanks(block: Block, layout: Layout) -> Block:
    sizes = block.ends - block.starts
    blank = sizes == 1
    if layout.line_ending == "CRLF":
        text = np.frombuffer(block.data, np.uint8)
        blank |= (sizes == 2) & (text[block.starts] == CR if len(block) else False)
    if not blank.any():
        return block
    kept = ~blank
    return Block(block.data, block.starts[kept], block.ends[kept], block.cells[kept])
