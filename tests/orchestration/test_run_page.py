"""What a run shows at a real Prefect server: log, state, message, name, tags, page and chart."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import CommandLine
from tests.prefect_server import Server, running_server
from tests.steps.scenario import make_persons

UUID = re.compile(r"[0-9a-f]{32}")
SLOW = "\n[behaviour]\nqueue_seconds = {}\n"
HIDDEN = ("lovelace", "ada@x.example", "bab@x.example", "test-secret")


class Page:
    """A flow run as its page shows it."""

    def __init__(self, server: Server, flow_run: dict[str, Any]) -> None:
        self._server = server
        self.name: str = flow_run["name"]
        self.tags: list[str] = flow_run["tags"]
        self.state = (flow_run["state"]["type"], flow_run["state"]["name"])
        self.message: str = flow_run["state"]["message"]
        self._mine = {"flow_run_id": {"any_": [flow_run["id"]]}}

    def lines(self, until: str = "") -> list[str]:
        """Return the log lines, oldest first, once one holds these words: they come in batches."""
        give_up_at = time.monotonic() + 30
        while True:
            found = self._server.ask("logs/filter", logs=self._mine, sort="TIMESTAMP_ASC")
            lines = [one["message"] for one in found]
            if any(until in line for line in lines):
                return lines
            assert time.monotonic() < give_up_at, f"no line with {until!r} in {lines}"
            time.sleep(0.2)

    def artifact(self, key: str) -> str:
        """Return what the artifact of that key shows."""
        found = self._server.ask("artifacts/filter", artifacts=self._mine)
        shown: dict[str, str] = {one["key"]: one["data"] for one in found}
        assert key in shown, sorted(shown)
        return shown[key]


def page_of(server: Server, cli: CommandLine) -> Page:
    """Return the page of the last run."""
    (row,) = cli.scenario.rows("select flow_run_id from sync_runs order by started_at desc limit 1")
    (found,) = server.ask("flow_runs/filter", flow_runs={"id": {"any_": [row["flow_run_id"]]}})
    return Page(server, found)


@pytest.fixture
def seen(cli_with_prefect: CommandLine) -> CommandLine:
    """The command, led to a Prefect server, with more rejected allowed than happens."""
    cli_with_prefect.set(run={"allowed_reject_share": 0.9})
    return cli_with_prefect


def test_a_good_run_shows_what_it_did(seen: CommandLine, prefect_server: Server) -> None:
    answer = seen("run")
    assert answer.exit_code == 0, answer.output
    assert "without Prefect" not in answer.stderr
    page = page_of(prefect_server, seen)
    equation = "2 read = 1 created + 0 updated + 0 duplicate + 1 rejected + 0 held + 0 open"
    assert (page.state, page.message) == (("COMPLETED", "Completed"), equation)
    assert page.name == f"run {datetime.now(UTC):%F} · 2 persons"
    assert page.tags == ["live"]
    reported = page.artifact("person-sync-live")
    assert f"**{equation}**" in reported
    assert "| Unassigned | 1 | queue |" in reported
    assert re.search(r"\| company_missing \| 1 \| [^|]+ \| [^|]+ \|", reported), reported
    assert page.artifact("person-sync-live-chart").startswith("data:image/svg+xml;base64,")


def test_the_log_has_a_line_for_each_thing_with_its_subject_and_no_long_id(
    seen: CommandLine, prefect_server: Server
) -> None:
    seen("run")
    lines = page_of(prefect_server, seen).lines(until="done in ")
    subjects = [line.split(":")[0] for line in lines]
    for subject in ("login", "ledger", "Lead fields", "owners", "persons", "slice 1–2 of 2"):
        assert subject in subjects, lines
    assert "persons: 2 new" in lines
    assert "slice 1–2 of 2: 2 read, 1 to load, 0 duplicate, 1 rejected" in lines
    assert any(re.fullmatch(r"batch 1 of 1: 1 lead sent, \d+ kB", line) for line in lines), lines
    assert any(line.startswith("batch 1 of 1: 1 lead done, ") for line in lines), lines
    assert re.fullmatch(
        r"done in [\d.]+ s: 2 read = 1 created .* 0 open; most rejected for company_missing 1",
        next(line for line in lines if line.startswith("done in ")),
    )
    assert not [line for line in lines if UUID.search(line)]


def test_a_run_that_waits_for_salesforce_logs_that_again_and_again(
    seen: CommandLine, prefect_server: Server
) -> None:
    seen.scenario.set_org(SLOW.format(3))
    seen.set(run={"progress_seconds": 0.5, "poll_seconds": 0.2, "allowed_reject_share": 0.9})
    assert seen("run").exit_code == 0
    lines = page_of(prefect_server, seen).lines(until="done in ")
    waiting = "waiting for Salesforce: batch 1 of 1 (UploadComplete, 0 of 1), "
    assert len([line for line in lines if line.startswith(waiting)]) >= 2, lines
    done = next(line for line in lines if line.startswith("batch 1 of 1: 1 lead done"))
    queued = re.search(r"(\d+) s in Salesforce's queue", done)
    assert queued is not None, done
    assert int(queued[1]) >= 2, done


def test_a_plan_has_a_page_of_its_own(seen: CommandLine, prefect_server: Server) -> None:
    assert seen("run", "--plan").exit_code == 0
    page = page_of(prefect_server, seen)
    assert page.state[0] == "COMPLETED"
    assert page.name == f"plan {datetime.now(UTC):%F} · 2 persons"
    assert page.tags == ["plan"]
    assert "### would be" in page.artifact("person-sync-plan")
    assert "data:image" in page.artifact("person-sync-plan-chart")


def test_more_rejected_than_allowed_is_a_failed_state_of_that_name(
    seen: CommandLine, prefect_server: Server
) -> None:
    seen.set(run={"allowed_reject_share": 0.2})
    assert seen("run").exit_code == 1
    page = page_of(prefect_server, seen)
    assert page.state == ("FAILED", "Rejected")
    assert page.message.startswith("2 read = 1 created ")
    assert "company_missing" in page.artifact("person-sync-live")


def test_where_the_settings_only_warn_it_is_completed_with_the_same_message(
    seen: CommandLine, prefect_server: Server
) -> None:
    seen.set(run={"allowed_reject_share": 0.2, "on_many_rejected": "warn"})
    assert seen("run").exit_code == 1
    page = page_of(prefect_server, seen)
    assert page.state == ("COMPLETED", "Completed")
    assert page.message.startswith("2 read = 1 created ")


def test_a_held_person_is_a_failed_state_of_that_name(
    seen: CommandLine, prefect_server: Server
) -> None:
    seen.scenario.set_org(person_id_field=False)
    seen.scenario.emulator.go_wrong({"job": "nth:1", "fault": "forget"})
    seen.set(run={"allowed_reject_share": 0.9}, salesforce={"person_id_field": ""})
    assert seen("run").exit_code == 1
    page = page_of(prefect_server, seen)
    assert page.state == ("FAILED", "Held")
    assert "+ 1 held + 0 open" in page.message


@pytest.fixture
def resume_at_seven(prefect_server: Server) -> Iterator[datetime]:
    """A scheduled run of a deployment called resume, some time from now."""
    flow = prefect_server.ask("flows/", name="resume")
    made = prefect_server.ask("deployments/", name="resume", flow_id=flow["id"])
    due = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(hours=2)
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": due.isoformat()}}
    path = f"deployments/{made['id']}/create_flow_run"
    asked = prefect_server.ask(path, state=state, enforce_parameter_schema=False)
    yield due
    prefect_server.forget("flow_runs", asked["id"])


def test_a_failed_run_names_who_stays_open_and_when_resume_continues(
    seen: CommandLine, prefect_server: Server, resume_at_seven: datetime
) -> None:
    seen.scenario.set_org(SLOW.format(600))
    seen.scenario.put_frame(
        make_persons(3).assign(person_id=["P3", "P4", "P5"], owner_strategy=None)
    )
    seen.set(run={"deadline_minutes": 0.05, "poll_seconds": 0.2, "allowed_reject_share": 0.9})
    answer = seen("run")
    assert answer.exit_code == 3, answer.output
    page = page_of(prefect_server, seen)
    assert page.state == ("FAILED", "Failed")
    assert page.message.startswith("transient: the run's deadline is over with 1 batches open")
    assert "5 read = 0 created" in page.message
    assert page.message.endswith(
        f"4 persons stay open; resume continues with them at {resume_at_seven:%H:%M} UTC"
    )
    assert "4 persons stay open" in page.artifact("person-sync-live")
    lines = page.lines(until="transient: ")
    assert not [line for line in lines if "Traceback" in line or "NoneType" in line], lines


def test_a_wrong_setting_fails_the_run_with_its_sentence_and_no_traceback(
    seen: CommandLine, prefect_server: Server
) -> None:
    answer = seen("run", "--owner", "queue:Nowhere")
    assert answer.exit_code == 2
    page = page_of(prefect_server, seen)
    assert page.state == ("FAILED", "Failed")
    assert page.message.startswith("permanent: --owner = queue:Nowhere")
    assert not [line for line in page.lines(until="permanent: ") if "Traceback" in line]
    assert "queue:Nowhere" in page.artifact("person-sync-live")


def test_nothing_personal_reaches_the_server_even_where_everything_is_logged(
    seen: CommandLine, prefect_server: Server
) -> None:
    chatty = {"PREFECT_LOGGING_ROOT_LEVEL": "DEBUG", "PREFECT_LOGGING_LEVEL": "DEBUG"}
    answer = seen("run", **chatty)
    assert answer.exit_code == 0, answer.output
    page_of(prefect_server, seen).lines(until="done in ")
    kept = b"".join(
        file.read_bytes() for file in prefect_server.home.rglob("*") if file.is_file()
    ).lower()
    for canary in HIDDEN:
        assert canary not in answer.output.lower()
        assert canary.encode() not in kept


def test_the_page_keeps_a_progress_bar(seen: CommandLine, prefect_server: Server) -> None:
    seen.scenario.set_org(SLOW.format(7))
    assert seen("run").exit_code == 0
    # Of two persons one is rejected at once, the other waits in Salesforce's queue.
    page = page_of(prefect_server, seen)
    assert float(page.artifact("person-sync-live-progress")) in (50.0, 100.0)


@pytest.mark.slow
def test_a_server_that_goes_away_in_the_middle_of_a_run_costs_only_the_page(
    cli: CommandLine, tmp_path: Path
) -> None:
    cli.scenario.set_org(SLOW.format(4))
    cli.set(run={"allowed_reject_share": 0.9, "poll_seconds": 0.2})
    home = tmp_path / "prefect"
    home.mkdir()
    with running_server(home) as server:
        cli.environment.update(server.own)
        process = cli.start("run", "--json")
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("batch 1 of 1: 1 lead sent"):
                break
    stdout, stderr = process.communicate(timeout=150)
    assert (process.returncode, "Traceback" in stderr) == (0, False), stderr
    assert json.loads(stdout)["run"]["created_count"] == 1
    assert "Prefect: the server went away; the run has ended without it" in stderr
    assert cli.scenario.unaccounted() == []


def test_an_address_that_is_none_is_reported(cli: CommandLine) -> None:
    answer = cli("run", PREFECT_API_URL="nonsense")
    assert answer.exit_code == 2
    assert "PREFECT_API_URL is no address" in answer.stderr
    assert cli.untouched()
