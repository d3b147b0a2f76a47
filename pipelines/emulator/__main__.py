"""Run the emulator as a command: `python -m pipelines.emulator`.

Signal handlers are installed before anything else is imported, because the imports take most of a
second.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Serve until a signal arrives; then print one line and exit with 128 + the signal's number."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _exit_now)
    # `person-sync emulator` blocked these signals while it replaced itself by this program.
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
