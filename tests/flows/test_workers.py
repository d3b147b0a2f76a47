"""Several workers share one run: everybody ends as by one alone, and nobody twice."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.salesforce.servers import Emulator

from .crews import KNOWN, SMALL, everything_said, mixed_crowd, sync_together
from .stage import Stage, crowd


def settled_by(stage: Stage, seed: int, count: int) -> dict[str, Any]:
    """What is said of a mixed crowd after so many workers have synced it."""
    stage.set_org(KNOWN)
    stage.put_frame(mixed_crowd(seed, 160))
    sync_together(stage, count, run=SMALL, matching={"existing_contact": "update"})
    assert (stage.unaccounted(), stage.under_way(), stage.miscounted_runs()) == ([], [], [])
    return everything_said(stage)


@pytest.mark.parametrize("seed", range(4))
def test_four_threads_end_as_one_worker_person_by_person(
    seed: int, migrated_sqlite: Path, emulator_process: Emulator, tmp_path: Path
) -> None:
    said = []
    for count in (1, 4):
        file = shutil.copy(migrated_sqlite, tmp_path / f"{count}.db")
        stage = Stage(f"sqlite:///{file}", emulator_process)
        said.append(settled_by(stage, seed, count))
        stage.engine.dispose()
    assert said[0] == said[1]
