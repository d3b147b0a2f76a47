"""A wheel is the whole of it: built, unpacked far from the project, it migrates a warehouse."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("pipelines", "sql", "data", "pyproject.toml", "README.md", "LICENSE")
BUILD = "from setuptools.build_meta import build_wheel; print(build_wheel('made'))"
MIGRATE = """
from pipelines.demo import DATA
from pipelines.warehouse.database import open_warehouse
from pipelines.warehouse.migrations import migrate
from pipelines.warehouse.statements import SQL_FOLDER
with open_warehouse("sqlite:///warehouse.db", create=True) as warehouse:
    print(migrate(warehouse)[-1], SQL_FOLDER, (DATA / "org.toml").is_file())
"""


def python(code: str, folder: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """The content of a wheel made of a copy of the project."""
    project = tmp_path / "project"
    project.mkdir()
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, project / part)
    name = python(BUILD, project)
    ZipFile(project / "made" / name).extractall(tmp_path / "unpacked")
    shutil.rmtree(project)
    return tmp_path / "unpacked"


def test_a_wheel_carries_the_sql_and_the_demo(unpacked: Path, tmp_path: Path) -> None:
    told = python(MIGRATE, tmp_path, PYTHONPATH=str(unpacked)).split()
    assert told == ["views", str(unpacked / "pipelines" / "sql"), "True"]
    others = {one.name for one in unpacked.iterdir() if one.suffix != ".dist-info"}
    assert others == {"pipelines"}
