"""The suite pointed at another org by the environment, as an outsider would: it leaves no trace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.conformance.conftest import your_org
from tests.emulator.conformance.real_org import PREFIX, RealClient, named
from tests.emulator.conftest import OrgOf
from tests.emulator.plain_http import Client

FOLDER = Path(__file__).parent
THREE = "your_org and (test_07_a_created or test_17_successful or test_43_an_open)"
ADA = '[[lead]]\nLastName = "Lovelace"\nCompany = "Engines"\n'
SAID = {"consumer_key": "key", "consumer_secret": "secret", "consent": "yes"}


def living(org: Client) -> list[dict[str, Any]]:
    return [lead for lead in org.control("GET", "org").json()["leads"] if not lead["IsDeleted"]]


def test_the_marked_tests_run_on_the_org_of_the_environment_and_clean_up(org_of: OrgOf) -> None:
    org = org_of(ADA)
    before = living(org)
    settings = tried_on(org)
    assert "3 passed" in settings, settings
    assert living(org) == before
    # What they did there is seen in what they deleted.
    shown = org.control("GET", "org").json()
    assert (len(shown["leads"]), shown["jobs"]) == (len(before) + 3, [])


def tried_on(org: Client) -> str:
    """Return the output of a pytest run of three marked tests with this org in its environment."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    own |= {f"{PREFIX}{name.upper()}": value for name, value in (SAID | {"url": org.url}).items()}
    # Only what the suite needs: every plug-in that is found would be imported once more.
    command = [sys.executable, "-m", "pytest", "-p", "pytest_timeout", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, f"--confcutdir={FOLDER.parent}", "-q", "-k", THREE, str(FOLDER)],
        env=own | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("consent", ["", "no", "YES"])
def test_nothing_is_asked_of_an_org_without_consent(org: Client, consent: str) -> None:
    with pytest.raises(pytest.skip.Exception, match="set PERSON_SYNC_REAL_ORG_CONSENT=yes"):
        your_org(SAID | {"url": org.url, "consent": consent}, [])
    # The one login is the test's own.
    assert len(org.control("GET", "requests").json()) == 1


def test_what_the_org_lacks_skips_with_a_reason(org: Client) -> None:
    there = RealClient(SAID | {"url": org.url})
    with pytest.raises(pytest.skip.Exception, match="no such field"):
        there.needs([], "no such field")
    there.needs(["found"], "not said")


def test_an_environment_without_an_address_names_no_org() -> None:
    assert named({f"{PREFIX}TOKEN": "t", f"{PREFIX}CONSENT": "yes"}) == {}
    assert named({f"{PREFIX}URL": "u", "PATH": "/"}) == {"url": "u"}
