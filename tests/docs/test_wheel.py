"""A wheel is the whole of it: built and unpacked far from the project, it migrates and deploys."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml

from tests.prefect_server import Server
from tests.steps.scenario import Scenario

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PARTS = ("pipelines", "sql", "data", "prefect.yaml", "pyproject.toml", "README.md", "LICENSE")
BUILD = "from setuptools.build_meta import build_wheel; print(build_wheel('made'))"
MIGRATE = """
from pipelines.demo.sample_data import DATA
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


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel of a copy of the project, and return the folder with its content."""
    folder = tmp_path_factory.mktemp("wheel")
    project = folder / "project"
    project.mkdir()
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, project / part)
    name = python(BUILD, project)
    ZipFile(project / "made" / name).extractall(folder / "unpacked")
    shutil.rmtree(project)
    return folder / "unpacked"


def test_a_wheel_carries_the_sql_and_the_demo(unpacked: Path, tmp_path: Path) -> None:
    told = python(MIGRATE, tmp_path, PYTHONPATH=str(unpacked)).split()
    assert told == ["views", str(unpacked / "pipelines" / "sql"), "True"]
    others = {one.name for one in unpacked.iterdir() if one.suffix != ".dist-info"}
    assert others == {"pipelines"}


def test_a_wheel_carries_the_page_for_who_is_on_call(unpacked: Path) -> None:
    page = (ROOT / "pipelines" / "on-call.md").read_bytes()
    assert (unpacked / "pipelines" / "on-call.md").read_bytes() == page


@pytest.fixture
def team(unpacked: Path, tmp_path: Path) -> Path:
    """A folder in which README's line for those who installed the wheel was typed."""
    folder = tmp_path / "team"
    folder.mkdir()
    (line,) = re.findall(r"^python -c '(.*shutil.*)'$", README, re.MULTILINE)
    python(f"{line}; print()", folder, PYTHONPATH=str(unpacked))
    return folder


def test_a_wheel_carries_what_is_deployed(team: Path, unpacked: Path) -> None:
    for name in ("prefect.yaml", "pipelines/orchestration/automations.yaml"):
        assert (team / Path(name).name).read_bytes() == (ROOT / name).read_bytes()
    for one in yaml.safe_load((team / "prefect.yaml").read_text("utf-8"))["deployments"]:
        code = LOAD.format(entrypoint=one["entrypoint"])
        found = python(code, team, PYTHONPATH=str(unpacked))
        assert found.startswith(str(unpacked)), one["entrypoint"]


LOAD = """
import inspect
from prefect.flows import load_flow_from_entrypoint
print(inspect.getsourcefile(load_flow_from_entrypoint({entrypoint!r}).fn))
"""


@pytest.mark.slow
def test_whoever_installed_the_wheel_deploys_and_runs(
    team: Path, unpacked: Path, prefect_server: Server, scenario: Scenario
) -> None:
    scenario.put("""
        person_id | last_name | company
        1         | Lovelace  | Engines
    """)
    scenario.write_settings(team / "person-sync.toml")
    here = Server(prefect_server.url, prefect_server.home, team, {"PYTHONPATH": str(unpacked)})
    here.command("work-pool", "create", "person-sync", "--type", "process", "--overwrite")
    here.command("automation", "create", "--from-file", "automations.yaml")
    here.command("deploy", "--all")
    # No PERSON_SYNC_CONFIG: the settings are found in the folder that was deployed from.
    ended = here.run("nightly", None)
    assert ended["state_type"] == "COMPLETED", ended["state"]["message"]
    assert [lead["LastName"] for lead in scenario.leads()] == ["Lovelace"]
