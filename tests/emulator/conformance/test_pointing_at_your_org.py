"""The suite pointed at another org by the environment, as an outsider would: it leaves no trace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .real_org import PREFIX

FOLDER = Path(__file__).parent
THREE = "your_org and (test_07_a_created or test_17_successful or test_43_an_open)"
ADA = '[[lead]]\nLastName = "Lovelace"\nCompany = "Engines"\n'


def tried_on(org, consent):
    """What a pytest of three marked tests says that is told of this org by its environment."""
    said = {"URL": org.url, "CONSUMER_KEY": "key", "CONSUMER_SECRET": "secret", "CONSENT": consent}
    own = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    command = [sys.executable, "-m", "pytest", str(FOLDER), "-q", "-k", THREE]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", "-p", "no:xdist", f"--confcutdir={FOLDER.parent}"],
        env=own | {f"{PREFIX}{name}": value for name, value in said.items()},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout


@pytest.mark.parametrize(("consent", "expected"), [("yes", "3 passed"), ("", "3 skipped")])
def test_the_marked_tests_run_on_the_org_of_the_environment_and_clean_up(org_of, consent, expected):
    org = org_of(ADA)
    before = org.door("GET", "org").json()
    said = tried_on(org, consent)
    assert expected in said, said
    after = org.door("GET", "org").json()
    assert [lead for lead in after["leads"] if not lead["IsDeleted"]] == before["leads"]
    assert (after["contacts"], after["jobs"]) == ([], [])
    # What they did there is seen in what they deleted.
    assert len(after["leads"]) - len(before["leads"]) == (3 if consent else 0)
