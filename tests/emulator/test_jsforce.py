"""A second real client drives it: jsforce, from npm, where node is on the machine.

`jsforce/drive.mjs` is one node process that goes through every check; each is a test here, named
as it is named there, so that a failure says what a user of jsforce would see.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.conftest import Process
from tests.emulator.plain_http import BASIC_ORG, Client

HERE = Path(__file__).parent / "jsforce"
CHECKS = re.findall(r'^check\("([^"]+)"', (HERE / "drive.mjs").read_text(), re.MULTILINE)

ORG = """
[[user]]
username = "ada@test.example"
name = "Ada Byron"
password = "pass"
security_token = "token"
[[queue]]
developer_name = "DACH"
name = "DACH"
objects = ["Lead"]
[[assignment_rule]]
name = "Standard routing"
id = "01Q000000000001"
active = true
[[assignment_rule.entry]]
when = { Country = ["DE", "AT", "CH"] }
assign_to = "queue:DACH"
"""


@pytest.fixture(scope="module")
def home(request: pytest.FixtureRequest) -> Path:
    """A folder with jsforce in it, fetched once for each lock file."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not on this machine: jsforce was not tried")
    lock = (HERE / "package-lock.json").read_bytes()
    shelf = request.config.cache.mkdir("jsforce")
    kept = shelf / hashlib.sha256(lock).hexdigest()[:16]
    if not kept.is_dir():
        fetch(npm, shelf / f"{kept.name}.{os.getpid()}", kept)
    return kept


def fetch(npm: str, fresh: Path, kept: Path) -> None:
    fresh.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, fresh)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        subprocess.run(command, cwd=fresh, check=True, capture_output=True, timeout=150)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        shutil.rmtree(fresh)
        pytest.skip(f"npm could not fetch jsforce ({type(error).__name__}): it was not tried")
    # Whole or not there: a run that is cut short leaves nothing that the next would take for it.
    fresh.rename(kept)


@pytest.fixture(scope="module")
def outcomes(home: Path, running: Process) -> Any:
    org = Client(running.url).reset(BASIC_ORG + ORG)
    command = ["node", str(HERE / "drive.mjs"), str(home), org.url]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.mark.parametrize("name", CHECKS)
def test_jsforce(outcomes: dict[str, Any], name: str) -> None:
    assert outcomes[name]["ok"], outcomes[name]["value"]


def test_every_check_was_made(outcomes: dict[str, Any]) -> None:
    assert list(outcomes) == CHECKS
    assert len(CHECKS) > 25


def test_the_lock_file_names_no_registry() -> None:
    text = (HERE / "package-lock.json").read_text()
    assert "registry" not in text
    assert '"resolved"' not in text
    assert not (HERE / ".npmrc").exists()
