"""Collect an upload piece by piece, in memory or on disk, so that a large one never fills
memory.
"""

from __future__ import annotations

import tempfile
import zlib
from typing import IO

IN_MEMORY = 1 << 20


class UploadSpool:
    """The bytes of one upload, decompressed where `window` (zlib's wbits) is not None.

    At most `limit` + 1 bytes are kept; the extra byte shows the reader that the upload was too
    large.
    """

    def __init__(self, limit: int, window: int | None) -> None:
        self._remaining = limit + 1
        self._window = window
        self._member: zlib._Decompress | None = None
        self.file: IO[bytes] = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - its reader closes it

    def add(self, piece: bytes) -> None:
        """Append a piece; raise zlib.error where the compressed data is invalid."""
        if self._window is None:
            self._write(piece)
            return
        while piece and self._remaining > 0:
            # gzip members may be joined end to end, and some clients send them so.
            if self._member is None or self._member.eof:
                self._member = zlib.decompressobj(wbits=self._window)
            self._write(self._member.decompress(piece, self._remaining))
            piece = self._member.unused_data

    def close(self) -> None:
        """Rewind the file; raise zlib.error where the compressed data ends too early."""
        self.file.seek(0)
        if self._member is not None and not self._member.eof and self._remaining > 0:
            raise zlib.error("it ends too early")

    def _write(self, data: bytes) -> None:
        self.file.write(data[: max(0, self._remaining)])
        self._remaining -= len(data)
