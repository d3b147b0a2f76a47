"""An upload on its way into the store: never in memory as a whole, however large it is."""

from __future__ import annotations

import tempfile
import zlib
from typing import IO

IN_MEMORY = 1 << 20


class UploadSpool:
    """Bytes put aside as they arrive, inflated where they come compressed (zlib's `window`).

    No more than `limit` and one byte is kept: by that one a reader finds out that it was too much.
    """

    def __init__(self, limit: int, window: int | None) -> None:
        self._remaining = limit + 1
        self._window = window
        self._member: zlib._Decompress | None = None
        self.file: IO[bytes] = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - its reader closes it

    def add(self, piece: bytes) -> None:
        """Put a piece aside; zlib.error where it is not what it says it is."""
        if self._window is None:
            self._write(piece)
            return
        while piece and self._remaining > 0:
            # Members may be joined end to end, and some clients send them so.
            if self._member is None or self._member.eof:
                self._member = zlib.decompressobj(wbits=self._window)
            self._write(self._member.decompress(piece, self._remaining))
            piece = self._member.unused_data

    def close(self) -> None:
        """Nothing more will come."""
        self.file.seek(0)
        if self._member is not None and not self._member.eof and self._remaining > 0:
            raise zlib.error("it ends too early")

    def _write(self, data: bytes) -> None:
        self.file.write(data[: max(0, self._remaining)])
        self._remaining -= len(data)
