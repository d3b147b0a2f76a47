"""The demo, by its command: twice the same, and everything there to look further."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from pipelines.demo.sample_data import DATA
from tests.cli.conftest import CommandResult, clean_environment, run_command


@dataclass
class Demo:
    """A demo's folder, and the command to be used in it."""

    folder: Path
    environment: dict[str, str]
    answers: list[CommandResult]

    def run(self, *words: str) -> CommandResult:
        answer = self("demo", "--dir", str(self.folder), "--json", *words)
        self.answers.append(answer)
        return answer

    def __call__(self, *words: str) -> CommandResult:
        return run_command(*words, folder=self.folder, environment=self.environment)

    def on_config(self, *words: str) -> CommandResult:
        return self(*words, "--config", str(self.folder / "person-sync.toml"), "--json")

    def rows(self, select: str) -> list[dict[str, Any]]:
        with sqlite3.connect(self.folder / "warehouse.db") as connection:
            connection.row_factory = sqlite3.Row
            rows = [dict(row) for row in connection.execute(select)]
        connection.close()
        return rows

    def change(self, statement: str) -> None:
        with sqlite3.connect(self.folder / "warehouse.db") as connection:
            connection.execute(statement)
        connection.close()

    @property
    def emulator(self) -> dict[str, Any]:
        known: dict[str, Any] = json.loads((self.folder / "emulator.json").read_text())
        return known


def stop(emulator: dict[str, Any]) -> None:
    if is_running(emulator["pid"]):
        os.kill(emulator["pid"], signal.SIGTERM)


def is_running(pid: int) -> bool:
    words = Path(f"/proc/{pid}/cmdline")
    return words.is_file() and b"pipelines.emulator.server" in words.read_bytes()


def counts(answer: CommandResult) -> dict[str, int]:
    # How often a job is asked for its state depends on how quick the org is, and the machine.
    run = {**answer.document["run"], "api_call_count": None}
    return {name: count for name, count in run.items() if name.endswith("_count")}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo that ran once, in a folder where the user keeps a file.

    Without Prefect; `test_demo_with_prefect.py` has the other one.
    """
    folder = tmp_path_factory.mktemp("demo")
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    made = Demo(folder, clean_environment(), [])
    made.run()
    yield made
    stop(made.emulator)


# In the order of the file: the later ones go on where the earlier ones stopped.


def test_the_demo_accounts_for_every_person(demo: Demo) -> None:
    (answer,) = demo.answers
    reported = counts(answer)
    del reported["api_call_count"]
    expected = {"listed": 212, "read": 212, "created": 147, "duplicate": 22, "rejected": 43}
    rows = re.search(r"^\| with these choices.*$", readme(), re.MULTILINE)
    assert rows is not None
    assert [int(one) for one in re.findall(r"\| (\d+)", rows[0])] == [147, 0, 22, 43, 0, 0]
    ends = {name.removesuffix("_count"): count for name, count in reported.items() if count}
    assert {name: count for name, count in ends.items() if "lookup" not in name} == expected


def test_the_demo_leaves_the_files_of_others_alone(demo: Demo) -> None:
    assert (demo.folder / "notes.txt").read_text(encoding="utf-8") == "mine"


def readme() -> str:
    return (DATA / "README.md").read_text(encoding="utf-8")


def expected_persons() -> dict[str, tuple[str, str]]:
    """Person → (expected, owner) of each row of the tables of odd persons."""
    found: dict[str, tuple[str, str]] = {f"P{n:04d}": ("created", "") for n in range(1, 95)}
    for line in readme().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if re.fullmatch(r"[Pp]\d{4}|007|\(none\)", cells[0]) and len(cells) >= 3:
            person = "" if cells[0] == "(none)" else cells[0]
            found[person] = (cells[2], cells[3] if len(cells) > 3 else "")
    return found


OWNER_NAMES = {
    "user:mira": "Mira Solbakken",
    "user:tomas": "Tomás Quirogaña",
    "user:kenji": "森田 健司郎",
    "user:grace": "Grace Adeyemi-Holt",
    "queue:DACH_Inbound": "DACH Inbound",
    "queue:Partners": "Partners",
    "queue:Unassigned_Leads": "Unassigned Leads",
}


def test_each_person_ends_as_in_the_data_readme(demo: Demo) -> None:
    outcomes = {row["person_id"]: row for row in demo.rows("select * from person_outcomes")}
    expected = expected_persons()
    assert expected.keys() == outcomes.keys()
    for person, (words, owner) in expected.items():
        outcome = outcomes[person]
        assert outcome["outcome"] == re.match(r"\w+", words)[0], person  # type: ignore[index]
        if owner:
            assert outcome["owner_name"] == OWNER_NAMES[owner.split("`")[1]], person


def test_each_rejection_is_for_the_rules_of_the_data_readme(demo: Demo) -> None:
    broken: dict[str, set[str]] = {}
    for row in demo.rows("select person_id, rule_name from rejected_persons"):
        broken.setdefault(row["person_id"], set()).add(row["rule_name"])
    expected = {
        person: set(re.findall(r"`(\w+)`", words))
        for person, (words, _) in expected_persons().items()
        if words.startswith("rejected")
    }
    assert broken == expected


def test_each_duplicate_is_found_where_the_data_readme_has_it(demo: Demo) -> None:
    where = {
        row["person_id"]: row
        for row in demo.rows("select * from duplicate_persons order by matched_in desc")
    }
    for person, (words, _) in expected_persons().items():
        place = re.search(r"(?:duplicate, |report \()`(\w+)`", words)
        if place:
            found = {
                row["matched_in"]
                for row in demo.rows("select * from duplicate_persons")
                if row["person_id"] == person
            }
            assert place[1] in found, person
            assert ("ambiguous" in words) <= bool(where[person]["is_ambiguous"]), person


def test_run_after_the_demo_finds_no_new_person_and_shows_its_calls(demo: Demo) -> None:
    answer = demo.on_config("run")
    reported = counts(answer)
    assert set(reported.values()) == {0, None}
    assert 0 < answer.document["run"]["api_call_count"] < 20
    assert answer.exit_code == 0


def test_a_corrected_person_is_the_only_one_read_and_is_created(demo: Demo) -> None:
    demo.change(
        "update persons set company = 'Mended', updated_at = '2026-11-21 08:00:00' "
        "where person_id = 'P0171'"
    )
    reported = counts(demo.on_config("run"))
    assert (reported["read_count"], reported["created_count"]) == (1, 1)


def test_a_second_demo_shows_the_same_and_stops_the_emulator_of_the_first(demo: Demo) -> None:
    first = demo.emulator
    second = demo.run()
    assert counts(second) == counts(demo.answers[0])
    for table in ("strategies", "reasons", "duplicates"):
        assert second.document[table] == demo.answers[0].document[table]
    give_up_at = time.monotonic() + 10
    while is_running(first["pid"]):
        assert time.monotonic() < give_up_at
        time.sleep(0.1)
    assert requests.get(f"{demo.emulator['url']}/emulator/requests", timeout=5).ok
    assert (demo.folder / "notes.txt").is_file()


def test_the_demo_makes_as_many_persons_as_asked_for(demo: Demo) -> None:
    reported = counts(demo.run("--persons", "500"))
    assert reported["read_count"] == 500
    assert reported["created_count"] > 400
    assert reported["held_count"] == reported["open_count"] == 0
    assert demo.rows("select count(*) as many from persons") == [{"many": 500}]


def test_the_demo_ends_with_where_to_look_further(demo: Demo) -> None:
    answer = demo("demo", "--dir", "inner", "--persons", "5")
    stop(json.loads((demo.folder / "inner" / "emulator.json").read_text()))
    for words in ("Salesforce now holds, by owner", "status --config inner/person-sync.toml"):
        assert words in answer.stdout
    assert "5 read = " in answer.stdout
    assert "Person Sync demo in inner/" in answer.stderr
