"""The command of `make test-crash`: it performs a sample, and its journal spares the next one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash.__main__ import WorkerPool
from tests.crash.directed import ROOT
from tests.crash.journal import Journal

pytestmark = pytest.mark.slow


def test_a_worker_keeps_its_environments() -> None:
    """Each holds an emulator and a database server: one for every case would take seconds."""
    pool = WorkerPool(Journal(None))
    try:
        assert pool.factory is pool.factory
    finally:
        pool.close()


# It discovers the boundaries of every environment first, twice.
@pytest.mark.timeout(600)
def test_a_sample_is_performed_and_the_journal_spares_the_same_cases(tmp_path: Path) -> None:
    words = ["--only", "three runs at once", "--sample", "2", "--workers", "1"]
    files = ["--journal", tmp_path / "journal", "--json", tmp_path / "table.json"]
    ended = [
        subprocess.run(
            [sys.executable, "-m", "tests.crash", *words, *files],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=290,
            check=False,
        )
        for _ in range(2)
    ]
    assert [one.returncode for one in ended] == [0, 0], [one.stderr for one in ended]
    assert "2 cases, seed 20260731, 2 to perform" in ended[0].stderr
    assert "2 cases, seed 20260731, 0 to perform" in ended[1].stderr
    assert "2 cases, 0 with violations" in ended[1].stdout
    table = json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))
    assert sum(row["cases"] for row in table["table"]) == 2
    assert min(table["boundaries"].values()) >= 80
