"""Arguments and settings that are wrong, --help and --version."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import (
    NOW,
    CommandLine,
    clean_environment,
    closed_port,
    nothing_done,
    run_command,
)


def test_help_names_every_command_and_version_prints_the_version(cli: CommandLine) -> None:
    reported = cli("--help")
    for name in ("demo", "migrate", "check", "run", "now", "resume", "status", "emulator"):
        assert f"\n  {name} " in reported.stdout
    assert "0.1.0" in cli("--version").stdout


ARGUMENTS = [
    (("frob",), "No such command 'frob'"),
    (("now",), "Missing argument 'ID...'"),
    (("run", "--limit", "0"), "Invalid value for '--limit'"),
    (("run", "--limit", "many"), "Invalid value for '--limit'"),
    (("run", "--frob"), "No such option '--frob'"),
    (("status", "a", "b"), "unexpected extra argument (b)"),
    (("emulator", "--port", "70000"), "Invalid value for '--port'"),
    (("demo", "--persons", "0"), "Invalid value for '--persons'"),
    (("check", "--config"), "Option '--config' requires an argument"),
]


@pytest.mark.parametrize(("words", "reported"), ARGUMENTS, ids=[" ".join(w) for w, _ in ARGUMENTS])
def test_a_wrong_argument_is_reported(
    words: tuple[str, ...], reported: str, tmp_path: Path
) -> None:
    answer = run_command(*words, folder=tmp_path, environment=clean_environment())
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert reported in answer.stderr


def test_without_settings_the_ways_to_give_them_are_named(tmp_path: Path) -> None:
    answer = run_command("check", folder=tmp_path, environment=clean_environment())
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert "name a settings file with --config or PERSON_SYNC_CONFIG" in answer.stderr


def test_wrong_settings_are_all_reported(cli: CommandLine) -> None:
    cli.set(run={"slice_size": 0}, matching={"deletd": "x"})
    nothing_done(cli, cli(*NOW), 2, "run.slice_size", "perhaps deleted is meant")


def test_a_failure_is_one_json_document_too(cli: CommandLine) -> None:
    cli.set(salesforce={"emulator_url": f"http://127.0.0.1:{closed_port()}"})
    answer = cli("resume", "--json")
    assert answer.document["error"] == "OrgUnavailableError"
    assert answer.document["is_transient"] is True
    assert answer.document["message"] in answer.stderr
    assert answer.exit_code == 3
