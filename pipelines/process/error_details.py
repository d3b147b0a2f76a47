"""The details of an unexpected error: a private file without personal data, and a sentence.

The text of an exception and the variables of a frame may quote a row or a secret. The file holds
neither: it has the types of the exceptions, and for each frame its file, line and function.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

EXIT_CODE: Final = 70  # EX_SOFTWARE of sysexits.h
MOST_FILES: Final = 50  # a schedule that fails every hour must not fill the disk
FIRST_FRAMES, LAST_FRAMES = 15, 40  # of an endless recursion

_RUN_NOTE: Final = re.compile(r"run ([0-9a-f]{32})")
_PLAIN: Final = re.compile(r"[\w.<>-]+")
_MODULE: Final = re.compile(r"\w+(\.\w+)*")


def name_run(error: BaseException, run_id: str) -> None:
    """Add the run's id to an error, for the sentence and the file. May be repeated."""
    if run_id_of(error) is None:
        error.add_note(f"run {run_id}")


def run_id_of(error: BaseException) -> str | None:
    """Return the id of the run that the error ended, if one had begun."""
    for one, _ in _chain(error):
        for note in getattr(one, "__notes__", ()):
            if found := _RUN_NOTE.fullmatch(note):
                return found[1]
    return None


def describe(error: BaseException, command: str) -> list[str]:
    """Return the details of an error, a line each, without the text of any exception."""
    import platform  # imported late: every command imports this file, few need it

    lines = [
        f"person-sync {_version()}, Python {platform.python_version()}, {platform.system()}",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
        f"command: {command if _PLAIN.fullmatch(command) else 'none'}",
        f"run: {run_id_of(error) or 'none had begun'}",
    ]
    for one, relation in _chain(error):
        lines += ["", relation + _type_name(one)]
        lines += _frames(one)
    return lines


def keep(error: BaseException, command: str) -> str:
    """Write the details into a private file; return the sentence for the user. Never raises."""
    run_id = run_id_of(error)
    run = f" in run {run_id}" if run_id else ""
    try:
        file = _write("\n".join([*describe(error, command), ""]))
    except Exception as trouble:  # noqa: BLE001 - the first error is what matters
        where = f"its details could not be written ({type(trouble).__name__}), --debug prints them"
    else:
        where = f"its details, without personal data, are in {file}"
    return f"an unexpected error{run} ({_type_name(error)}), a mistake of Person Sync: {where}"


def keep_quiet_elsewhere(command: str) -> None:
    """Keep tracebacks of threads, destructors and the interpreter's end off the terminal.

    The details of the first error in a thread are kept, and one line names their file.
    """
    is_first = threading.Lock()

    def of_thread(failed: threading.ExceptHookArgs) -> None:
        error = failed.exc_value
        if error is not None and isinstance(error, Exception) and is_first.acquire(blocking=False):
            _print(f"person-sync: a background thread ended: {keep(error, command)}")

    threading.excepthook = of_thread
    sys.unraisablehook = lambda _: None


def _print(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(text + "\n")


def _chain(error: BaseException) -> Iterator[tuple[BaseException, str]]:
    """Yield the error, then what caused it, each once; members of a group as well."""
    seen: set[int] = set()
    waiting = [(error, "")]
    while waiting:
        one, relation = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one, relation
        if isinstance(one, BaseExceptionGroup):
            waiting += [(member, "member of the group: ") for member in reversed(one.exceptions)]
        if one.__cause__ is not None:
            waiting.append((one.__cause__, "caused by: "))
        elif one.__context__ is not None and not one.__suppress_context__:
            waiting.append((one.__context__, "while handling: "))


def _frames(error: BaseException) -> Iterator[str]:
    frames = [
        f"  {_place(frame.f_code.co_filename)}:{line} {_plain(frame.f_code.co_qualname)}"
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    if len(frames) <= FIRST_FRAMES + LAST_FRAMES:
        yield from frames
        return
    yield from frames[:FIRST_FRAMES]
    yield f"  ... {len(frames) - FIRST_FRAMES - LAST_FRAMES} more"
    yield from frames[-LAST_FRAMES:]


def _place(file_name: str) -> str:
    """Return the file's path in its package: the path of a home folder holds a user's name."""
    parts = Path(file_name).parts
    for root in ("site-packages", "dist-packages", "pipelines"):
        if root in parts:
            at = len(parts) - 1 - parts[::-1].index(root)
            return "/".join(parts[at:])
    return _plain("/".join(parts[-2:]).lstrip("/"), more="/")


def _plain(name: str, more: str = "") -> str:
    # Code made from text (pandas' eval, a query) may bear that text as its name.
    return name if re.fullmatch(rf"[\w.<>{more}-]{{1,200}}", name) else "<generated>"


def _type_name(error: BaseException) -> str:
    kind = type(error)
    name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    # The name of a missing module is what the reader needs, and it is no data.
    missing = getattr(error, "name", None) if isinstance(error, ImportError) else None
    is_named = isinstance(missing, str) and _MODULE.fullmatch(missing)
    return f"{name} of {missing}" if is_named else name


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("person-sync")
    except PackageNotFoundError:
        return "(not installed)"


def _write(text: str) -> Path:
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}.txt"
    try:
        folder = _state_folder()
        file = _write_new(folder / name, text)
        _remove_oldest(folder)
    except (OSError, RuntimeError):  # no home, a full or a read-only disk
        import tempfile

        file = _write_new(Path(tempfile.mkdtemp(prefix="person-sync-")) / name, text)
    return file


def _state_folder() -> Path:
    """Return our folder for errors, private and there."""
    if os.name == "nt":
        base = Path(os.environ.get("LOCALAPPDATA") or "~/AppData/Local").expanduser()
    elif sys.platform == "darwin":
        base = Path("~/Library/Logs").expanduser()
    else:
        # The standard has a relative path ignored.
        given = Path(os.environ.get("XDG_STATE_HOME", ""))
        base = given if given.is_absolute() else Path("~/.local/state").expanduser()
    folder = base / "person-sync" / "errors"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)  # raises for a folder of another user
    return folder


def _write_new(file: Path, text: str) -> Path:
    # Never through a link, never into a file that is there.
    place = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(place, "w", encoding="utf-8", errors="replace") as sink:
            sink.write(text)
    except OSError:
        file.unlink(missing_ok=True)
        raise
    return file


def _remove_oldest(folder: Path) -> None:
    files = sorted(folder.glob("*.txt"))
    for file in files[: max(0, len(files) - MOST_FILES)]:
        file.unlink(missing_ok=True)
