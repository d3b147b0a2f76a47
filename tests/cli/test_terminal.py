"""How tables and texts are laid out: on a terminal within its width, in a pipe a row a line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pipelines.process.terminal import as_lines, table, unbroken
from tests.cli.conftest import COMMAND, CommandLine
from tests.cli.terminals import started

LONG = "The company is blank, and Salesforce takes no lead without one, whatever it is called."


def test_in_a_pipe_a_row_is_one_line_without_trailing_spaces() -> None:
    rows = [("company_missing", "12", LONG * 20), ("x", "3", "")]
    assert as_lines([table(rows, numbers=[1])]) == [
        f"  company_missing  12  {LONG * 20}",
        "  x                 3",
    ]


@pytest.mark.parametrize("name", ["[bold]Ada[/]", ":smile:", "森田 健司郎", "a  b", "[/x]"])
def test_names_are_printed_as_they_are(name: str) -> None:
    assert as_lines([table([(name, "1")]), name]) == [f"  {name}  1", name]


def on_terminal(cli: CommandLine, folder: Path, **environment: str) -> list[str]:
    """Return what `status` prints to a terminal of 80 columns."""
    given = {**cli.environment, "TERM": "xterm-256color", **environment}
    with started([COMMAND, "status"], cli.folder, given) as command:
        return command.wait(time.monotonic(), 60).stdout.splitlines()


def test_a_terminal_gets_tables_within_80_columns_and_a_pipe_the_same_words(
    cli: CommandLine, tmp_path: Path
) -> None:
    cli("now", "P1", "P2")
    lines = on_terminal(cli, tmp_path, NO_COLOR="1")
    assert [line for line in lines if len(line) > 80] == []
    piped = cli("status").stdout
    assert " ".join(piped.split()) == " ".join(" ".join(lines).split())
    assert "\x1b" not in piped
    assert max(map(len, piped.splitlines())) > 80


def test_titles_are_bold_unless_colours_are_switched_off(cli: CommandLine, tmp_path: Path) -> None:
    cli("now", "P1", "P2")
    assert "\x1b[1mrejected, per rule\x1b[0m" in on_terminal(cli, tmp_path)
    assert not [line for line in on_terminal(cli, tmp_path, TERM="dumb") if "\x1b" in line]


def test_a_command_to_copy_is_never_wrapped() -> None:
    command = "person-sync resolve " + "P" * 200
    assert as_lines([unbroken(command)]) == [command]
