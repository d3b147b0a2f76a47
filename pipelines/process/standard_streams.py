"""Stdout and stderr that never raise: a closed pipe or a full disk does not crash the command.

Text that cannot be written is dropped. `closing_exit_code` returns what that means for the command.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from typing import Final, TextIO

TRANSIENT: Final = 3  # the exit code of "make room and run it again"


class Stream(io.TextIOWrapper):
    """A standard stream over the same file; `trouble` is the first error of writing to it."""

    def __init__(self, stream: TextIO) -> None:
        # click replaces a stream in ASCII by one of its own in UTF-8, which would raise.
        is_ascii = codecs.lookup(stream.encoding).name == "ascii"
        super().__init__(
            stream.buffer,
            encoding="utf-8" if is_ascii else stream.encoding,
            errors=ESCAPES,
            line_buffering=bool(stream.line_buffering),
        )
        self.trouble: OSError | None = None
        self.has_written = False

    def write(self, text: str, /) -> int:
        """Write, or drop the text when the file takes no more."""
        self.has_written = True
        try:
            return super().write(text)
        except OSError as trouble:
            self._give_up(trouble)
        return len(text)

    def flush(self) -> None:
        """Flush, or drop what is left."""
        try:
            super().flush()
        except OSError as trouble:
            self._give_up(trouble)

    def _give_up(self, trouble: OSError) -> None:
        if self.trouble is None:
            self.trouble = trouble
            # Python writes what is left once more at exit, and would print an error then.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)


def install() -> None:
    """Put a `Stream` in the place of stdout and stderr. May be repeated."""
    for place in (0, 1, 2):
        _open_closed(place)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, Stream):
            stream.flush()
            setattr(sys, name, Stream(stream))


def closing_exit_code(exit_code: int) -> tuple[int, str | None]:
    """Return the exit code, and a sentence if the output could not be written."""
    stdout = sys.stdout
    if not isinstance(stdout, Stream):
        return exit_code, None
    stdout.flush()
    trouble = stdout.trouble
    # A reader such as `head` has closed the pipe: the command has done its work.
    if trouble is None or trouble.errno == errno.EPIPE:
        return exit_code, None
    reason = os.strerror(trouble.errno or errno.EIO)
    return (
        exit_code or TRANSIENT,
        f"the output could not be written ({reason}): make room; `person-sync status` shows it",
    )


def _open_closed(place: int) -> None:
    """Open a closed standard stream: a database connection must not get its number."""
    try:
        os.fstat(place)
    except OSError:
        nowhere = os.open(os.devnull, os.O_RDWR)
        if nowhere != place:
            os.dup2(nowhere, place)
            os.close(nowhere)


def _escape(error: UnicodeError) -> tuple[str, int]:
    """Write what the encoding lacks as JSON does, so that `--json` stays JSON."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = (units[at : at + 2].hex() for at in range(0, len(units), 2))
    return "".join(f"\\u{pair}" for pair in pairs), error.end


ESCAPES: Final = "person_sync_json_escapes"
codecs.register_error(ESCAPES, _escape)
