"""The page for who is on call: every state, exit code, setting, number and link on it is right.

Its lines for Prefect are typed in test_schedule.py, where there is a server.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from prefect.server.schemas import states
from prefect.settings.models.flows import FlowsSettings
from prefect.settings.models.server.deployments import ServerDeploymentsSettings
from prefect.settings.models.server.services import ServerServicesCancellationCleanupSettings

from pipelines import errors
from pipelines.cli import main
from pipelines.settings import RunSettings, Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "pipelines" / "on-call.md").read_text(encoding="utf-8")
AUTOMATIONS = {
    one["name"]: one
    for one in yaml.safe_load(
        (ROOT / "pipelines" / "orchestration" / "automations.yaml").read_text("utf-8")
    )["automations"]
}


def table_of(title: str) -> list[list[str]]:
    """Return the cells of the table below that heading, without its head."""
    part = PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    rows = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


STATES = table_of("States in Prefect")
CODES = table_of("Exit codes of `person-sync`")


def test_every_state_of_prefect_has_a_row() -> None:
    named = {name for row in STATES for name in re.findall(r"\b[A-Z][A-Za-z]+", row[0])}
    # A state takes the name of its type, or one that a function of this module gives it.
    types = {one.value.title() for one in states.StateType}
    given = set(re.findall(r'name="(\w+)"', Path(states.__file__).read_text("utf-8")))
    assert (types | given) - named == set()
    assert named - types - given == {"Rejected", "Held", "TimedOut"}


def test_every_exit_code_has_a_row() -> None:
    kinds = [one for one in vars(errors).values() if isinstance(one, type)]
    raised = {one.exit_code for one in kinds if hasattr(one, "exit_code")}
    assert {int(row[0]) for row in CODES} == raised | {0, 1, 70, 130, 143}


@pytest.mark.parametrize("row", CODES, ids=lambda row: str(row[0]))
def test_each_exit_code_says_that_nothing_is_lost(row: list[str]) -> None:
    assert re.match(r"no(:|$)", row[2]), row


def test_the_tables_fit_on_a_screen() -> None:
    assert len(STATES) + len(CODES) <= 24


def test_every_link_leads_somewhere() -> None:
    headings = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in headings}
    linked = re.findall(r"\]\(([^)]+)\)", PAGE)
    assert linked
    assert {one for one in linked if one.lstrip("#") not in anchors} == set()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\((pipelines/[^)]+)\)", readme):
        assert (ROOT / target).is_file(), target


def test_every_setting_named_is_there() -> None:
    named = set(re.findall(r"`(\w+\.\w+)\b[^`]*`", PAGE)) - {"prefect.yaml"}
    groups = Settings.model_fields
    there = {
        f"{group}.{name}"
        for group, field in groups.items()
        for name in getattr(field.annotation, "model_fields", {})
    }
    named = {one for one in named if one.split(".")[0] in groups}
    assert named <= there


OWN = re.findall(r"^ *(person-sync .*)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("line", OWN)
def test_the_command_understands_the_line(line: str) -> None:
    _, name, *words = shlex.split(line, comments=True)
    # Only read: what they do is tested where the command is.
    assert main.commands[name].make_context(name, words)


def test_the_numbers_are_those_in_force() -> None:
    lost, pending = (AUTOMATIONS[f"person-sync-{name}"] for name in ("lost-runs", "never-started"))
    heartbeat = FlowsSettings.model_fields["heartbeat_frequency"].default
    assert lost["trigger"]["within"] >= 3 * heartbeat, "healthy runs would be ended"
    assert (lost["trigger"]["within"], "some ten minutes" in PAGE) == (600, True)
    assert "for 10 minutes" in lost["actions"][0]["message"]
    assert (pending["trigger"]["within"], "nothing for 30 minutes" in PAGE) == (1800, True)
    assert (RunSettings().lease_seconds, "`run.lease_seconds`, 15 minutes" in PAGE) == (900, True)
    waits = ServerDeploymentsSettings.model_fields["concurrency_slot_wait_seconds"].default
    assert (waits, "again every 30 seconds" in PAGE) == (30, True)
    ends = ServerServicesCancellationCleanupSettings.model_fields["cancelling_timeout_seconds"]
    assert (ends.default, PAGE.count("fter five minutes")) == (300, 3)
    deployed = yaml.safe_load((ROOT / "prefect.yaml").read_text("utf-8"))
    given = deployed["definitions"]["work_pool"]["job_variables"]["env"]
    patience = given["PERSON_SYNC_RUN__START_TIMEOUT_SECONDS"]
    assert (patience, "waits half an hour" in PAGE) == ("1800", True)


def test_only_nights_wait_for_each_other() -> None:
    deployed = yaml.safe_load((ROOT / "prefect.yaml").read_text("utf-8"))["deployments"]
    limits = {one["name"]: one.get("concurrency_limit") for one in deployed}
    assert limits == {
        "nightly": {"limit": 1, "collision_strategy": "ENQUEUE"},
        "resume": None,
        "now": None,
    }
