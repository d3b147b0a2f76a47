"""The emulator's README lists everything that the emulator has, and nothing else."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click import Context

from pipelines.cli import main
from pipelines.emulator.org.behaviour import Behaviour
from pipelines.emulator.transport.faults import JOB_FAULT, REQUEST_FAULT
from tests.emulator.conformance.real_org import PREFIX
from tests.emulator.conftest import Process
from tests.emulator.orgs import error_of
from tests.emulator.plain_http import Client


# Nothing here changes the org: one is enough for all.
@pytest.fixture(scope="module")
def org(running: Process) -> Client:
    return Client(running.url).reset()


ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pipelines" / "emulator"
PAGE = (PACKAGE / "README.md").read_text(encoding="utf-8")
SUITE = Path(__file__).parent / "conformance"
SURE = {"[doc]", "[client]", "[field]", "[unsure]"}
METHODS = "GET|POST|PUT|PATCH|DELETE"


def section(title: str) -> str:
    """What stands between a heading and the next one."""
    return PAGE.partition(f"# {title}\n")[2].partition("\n#")[0]


def rows(title: str) -> list[list[str]]:
    """The rows of the tables in a section, each a list of its cells."""
    lines = [line for line in section(title).splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if row[0].startswith("`") or row[0].isdecimal()]


def code(cell: str) -> list[str]:
    """Return the texts in back-ticks."""
    return re.findall(r"`([^`]+)`", cell)


def numbered_tests() -> Iterator[tuple[int, str, str]]:
    """Number, file and decorators of every test of the suite."""
    for path in sorted(SUITE.glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            found = re.match(r"test_(\d\d)_", getattr(node, "name", ""))
            if found:
                yield int(found[1]), path.name, ast.unparse(node).partition("def ")[0]


BEHAVIOURS = rows("The sixty behaviours")


def test_every_number_has_its_row_and_its_tests() -> None:
    assert [int(row[0]) for row in BEHAVIOURS] == list(range(1, 61))
    listed = {(number, file) for number, file, _ in numbered_tests()}
    assert {(int(row[0]), file) for row in BEHAVIOURS for file in code(row[3])} == listed


def test_a_number_can_be_tried_elsewhere_where_a_test_of_it_is_marked() -> None:
    marked = {number for number, _, marks in numbered_tests() if "also_real_org" in marks}
    assert {int(row[0]) for row in BEHAVIOURS if row[4].startswith("yes")} == marked
    assert all(row[4].startswith(("yes", "no: ")) for row in BEHAVIOURS)


def test_every_number_shows_how_sure_we_are() -> None:
    for number, does, sure, *_ in BEHAVIOURS:
        assert set(sure.split()) <= SURE, number
        assert set(re.findall(r"\[\w+\]", does)) <= {"[unsure]"}, number
        assert ("[unsure]" in does) <= ("[unsure]" in sure), number


def switches_of(behaviour: Any) -> Iterator[tuple[str, Any]]:
    """Every switch and its default, those in a part of their own too."""
    for field in dataclasses.fields(behaviour):
        value = getattr(behaviour, field.name)
        yield from switches_of(value) if dataclasses.is_dataclass(value) else [(field.name, value)]


def test_every_switch_is_documented_with_its_default() -> None:
    switches = dict(switches_of(Behaviour()))
    documented = {code(row[0])[0]: code(row[1])[0] for row in rows("The switches of `[behaviour]`")}
    assert documented == {name: json.dumps(default) for name, default in switches.items()}
    unknowns = re.findall(r"\| `(\w+)` \|$", section("What is unknown"), re.M)
    assert set(unknowns) <= set(switches)


FILE = {code(row[0])[0].strip("[]"): set(code(row[1])) for row in rows("The org file")}
START = {
    "app": "consumer_key = 'k'",
    "user": "username = 'u'",
    "queue": "developer_name = 'q'",
    "assignment_rule": "name = 'r'",
    "duplicate_rule": "name = 'r'",
    "validation_rule": "message = 'm'",
    "field": "object = 'Lead'\nname = 'H__c'",
    "hidden_field": "name = 'City'",
    "country": "code = 'IT'\nlabel = 'Italy'",
}


def known_here(org: Client, text: str) -> set[str]:
    """Return the keys that the emulator knows, from its error about an unknown one."""
    rejected = org.control("POST", "reset", data=f"{text}\nzzz = 1\n".encode())
    assert rejected.status_code == 400
    return set(rejected.json()["error"].partition("known here: ")[2].split(", "))


def test_every_table_of_the_org_file_is_documented(org: Client) -> None:
    assert known_here(org, "") == set(FILE)


@pytest.mark.parametrize("table", [*START, "org", "limits"])
def test_every_key_of_a_table_is_documented(org: Client, table: str) -> None:
    text = f"[[{table}]]\n{START[table]}" if table in START else f"[{table}]"
    assert known_here(org, text) == FILE[table]


def test_every_key_of_behaviour_and_of_an_entry_is_documented(org: Client) -> None:
    switches = {code(row[0])[0] for row in rows("The switches of `[behaviour]`")}
    assert known_here(org, "[behaviour]") == switches
    entry = f"[[assignment_rule]]\n{START['assignment_rule']}\n[[assignment_rule.entry]]"
    owner = "assign_to = 'user:integration@test.example'"
    assert known_here(org, f"{entry}\n{owner}") == {"when", "assign_to"}


def words(faults: list[str]) -> set[str]:
    return {name for fault in faults for name in re.findall(r"^[a-z_]+", fault)}


@pytest.mark.parametrize(
    ("title", "pattern", "where"),
    [
        ("Faults of requests", REQUEST_FAULT, {"match": "GET /limits"}),
        ("Faults of jobs", JOB_FAULT, {"job": "nth:1"}),
    ],
)
def test_every_fault_is_documented_and_accepted(
    org: Client, title: str, pattern: re.Pattern[str], where: dict[str, str]
) -> None:
    documented = [code(row[0])[0] for row in rows(title)]
    # The names in the pattern; `_after` is an ending of one of them.
    assert words(documented) == set(re.findall(r"[a-z_]{4,}", pattern.pattern)) - {"_after"}
    for fault in documented:
        assert org.control("PUT", "faults", json=[where | {"fault": fault}]).status_code == 200


def test_every_control_path_is_documented(org: Client) -> None:
    paths = org.control("GET", "nowhere").json()["error"].partition("there are ")[2].split(", ")
    assert {code(row[0])[0] for row in rows("The control API")} == set(paths)


RESOURCES = [(code(row[0])[0], set(row[1].split())) for row in rows("Resources")]


@pytest.mark.parametrize(("path", "methods"), RESOURCES)
def test_a_resource_has_the_documented_methods(org: Client, path: str, methods: set[str]) -> None:
    rejected = error_of(org.call("OPTIONS", re.sub(r"\{\w+\}", "x", path)), 405)
    allowed = rejected["message"].partition("Allowed are ")[2].split(",")
    assert set(allowed) - {"HEAD"} == methods


def test_every_resource_of_the_emulator_is_documented() -> None:
    sources = [path.read_text(encoding="utf-8") for path in PACKAGE.glob("*.py")]
    (source,) = [text for text in sources if '"/limits": {' in text]
    routes = set(re.findall(rf'"(/[^"]*)": \{{\s*"(?:{METHODS})"', source))
    documented = {re.sub(r"\{\w+\}", "{}", path) for path, _ in RESOURCES} - {"/"}
    # One route stands for the pages of both kinds of query.
    assert documented - {"/query/{}", "/queryAll/{}"} == routes - {"/query(?:All)?/{}"}


def test_the_objects_are_the_documented_ones(org: Client) -> None:
    documented = section("Resources").partition("Objects that can be written: ")[2]
    written, read = (
        set(re.findall(r"\w+", part.partition(".")[0]))
        for part in documented.split("Objects that are only read: ")
    )
    objects = org.call("GET", "/sobjects").json()["sobjects"]
    assert {one["name"] for one in objects if one["createable"]} == written
    assert {one["name"] for one in objects if not one["createable"]} == read


@pytest.mark.parametrize("asked", rows("What it does not emulate"), ids=lambda row: row[0])
def test_what_is_not_emulated_fails_as_documented(org: Client, asked: list[str]) -> None:
    method, path = code(asked[0])[0].split(" ")
    status, error_code = asked[1].split()[0], code(asked[1])[0]
    if not path.startswith("/services"):
        path = f"/services/data/v68.0{path}"
    rejected = org.http.request(method, f"{org.url}{path}", json={}, timeout=30)
    assert error_of(rejected, int(status))["errorCode"] == error_code


def test_the_options_of_the_command_are_documented() -> None:
    command = main.get_command(Context(main), "emulator")
    assert command is not None
    there = {one for option in command.params for one in option.opts}
    documented = {code(row[0])[0] for row in rows("Starting it")}
    assert documented == there - {"--config", "--json", "--debug", "--help"}


def test_the_variables_that_name_your_org_are_documented() -> None:
    source = (SUITE / "real_org.py").read_text(encoding="utf-8")
    documented = {name for row in rows("Trying it on an org of yours") for name in code(row[0])}
    read = {"URL"} | {name.upper() for name in re.findall(r'settings(?:\.get\(|\[)"(\w+)"', source)}
    assert documented == {f"{PREFIX}{name}" for name in read | {"CONSENT"}}
