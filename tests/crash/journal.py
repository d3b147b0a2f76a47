"""What was performed, written down case by case: an hour's work survives being interrupted.

Only of the same code and the same tests: a journal begun on others is not carried on with.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from pathlib import Path

from tests.crash.directed import ROOT
from tests.crash.suite import Case, CaseResult


class Journal:
    """A file of verdicts, one a line after the line that names the code; without a file, nothing is
    kept. Raises ValueError when the file was begun on another state of the code."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._known: dict[str, dict[str, object]] = {}
        if file is None:
            return
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        if lines and lines[0] != fingerprint():
            raise ValueError(f"{file} is of another state of the code; begin another")
        if not lines:
            file.write_text(fingerprint() + "\n", encoding="utf-8")
        for line in lines[1:]:
            entry = json.loads(line)
            self._known[entry.pop("case")] = entry

    def result(self, case: Case) -> CaseResult | None:
        """What was found before; None of a case not performed yet."""
        found = self._known.get(str(case))
        return None if found is None else CaseResult(case, **found)  # type: ignore[arg-type]

    def left(self, cases: Sequence[Case]) -> int:
        """How many of them are not performed yet."""
        return sum(str(case) not in self._known for case in cases)

    def write(self, result: CaseResult) -> None:
        """Write a verdict down, at once."""
        if self._file is None:
            return
        entry = {
            "case": str(result.case),
            "is_reached": result.is_reached,
            "violations": result.violations,
            "seconds": round(result.seconds, 3),
        }
        with self._lock, self._file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(entry) + "\n")


def fingerprint() -> str:
    """Of everything a verdict depends on: the product, its SQL, and this harness."""
    digest = hashlib.sha256()
    for folder, ending in (("pipelines", "*.py"), ("sql", "*.sql"), ("tests/crash", "*.py")):
        for file in sorted((ROOT / folder).rglob(ending)):
            digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()
