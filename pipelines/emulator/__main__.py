"""`python -m pipelines.emulator`: the emulator as a command, told by a signal when to stop.

Signals are handled before anything else is imported, which takes most of a second.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Serve until a signal comes; then one sentence, and the exit code 128 + its number."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _exit_now)
    # `person-sync emulator` has held them back while this program took its place.
    if hasattr(signal, "pthread_sigmask"):
        blocked = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
    from click import ClickException

    from pipelines.emulator.server import main as serve

    try:
        ended_by = serve.main(standalone_mode=False)
    except ClickException as error:
        error.show()
        sys.exit(2)
    if isinstance(ended_by, signal.Signals):
        _exit_now(ended_by, None)


def _exit_now(number: int, _frame: FrameType | None) -> None:
    ending = "interrupted" if number == signal.SIGINT else "terminated"
    start = "\n" if number == signal.SIGINT and os.isatty(2) else ""
    try:
        os.write(2, f"{start}{ending}: the org emulator has stopped\n".encode())
    finally:
        os._exit(128 + number)


if __name__ == "__main__":
    main()
