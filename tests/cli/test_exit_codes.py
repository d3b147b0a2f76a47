"""The exit code is true, whatever went wrong: errors of ours, streams, folders, encodings."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import COMMAND, CommandLine, clean_environment, run_command

CANARY = "canary.mail@secret.example"
# An instant that is none, written by hand: reading it raises a ValueError that quotes it.
ALTERED = f"update sync_runs set started_at = '{CANARY}'"


@pytest.fixture
def altered(cli: CommandLine, tmp_path: Path) -> CommandLine:
    """A ledger with a row changed by hand, and a state folder of the test's own."""
    assert cli("now", "P1").exit_code == 0
    cli.scenario.run(ALTERED)
    cli.environment["XDG_STATE_HOME"] = str(tmp_path / "state")
    return cli


def details(folder: Path) -> list[Path]:
    return sorted((folder / "person-sync" / "errors").glob("*"))


# --- An unexpected error


def test_an_unexpected_error_is_70_with_one_sentence_and_a_private_file(
    altered: CommandLine, tmp_path: Path
) -> None:
    answer = altered("status")
    assert (answer.exit_code, answer.stdout) == (70, "")
    (file,) = details(tmp_path / "state")
    assert answer.stderr == (
        "person-sync: an unexpected error (ValueError), a mistake of Person Sync: its details, "
        f"without personal data, are in {file}\n"
    )
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    text = file.read_text(encoding="utf-8")
    assert "person-sync 0.1.0" in text
    assert "command: status" in text
    assert "run: none had begun" in text
    assert re.search(r"^ValueError\n  pipelines/", text, re.MULTILINE)
    assert re.search(r"^  pipelines/run/summaries\.py:\d+ summarise$", text, re.MULTILINE)
    assert "canary" not in (text + answer.output).lower()
    assert str(Path.home()) not in text


def test_in_json_it_is_one_document(altered: CommandLine) -> None:
    answer = altered("status", "--json")
    assert answer.document == {
        "error": "UnexpectedError",
        "message": answer.stderr.removeprefix("person-sync: ").strip(),
        "is_transient": False,
    }


def test_debug_prints_the_details_and_no_data(altered: CommandLine, tmp_path: Path) -> None:
    answer = altered("status", "--debug")
    (file,) = details(tmp_path / "state")
    reported = answer.stderr.splitlines()[1:]
    # The instant in the second line is a moment later.
    assert reported[2:] == file.read_text(encoding="utf-8").splitlines()[2:]
    assert "canary" not in answer.output.lower()


@pytest.mark.parametrize("place", ["/proc/nowhere", "/dev/null", "relative"])
def test_where_the_state_folder_cannot_be_written_another_is_found(
    altered: CommandLine, tmp_path: Path, place: str
) -> None:
    given = {"XDG_STATE_HOME": place, "HOME": "/dev/null", "TMPDIR": str(tmp_path)}
    answer = altered("status", **given)
    assert answer.exit_code == 70
    (file,) = tmp_path.glob("person-sync-*/*.txt")
    assert str(file) in answer.stderr
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert list(altered.folder.glob("relative")) == []


def test_where_nothing_can_be_written_that_is_named(altered: CommandLine) -> None:
    # A limit on the size of files is a disk that is full for every file.
    command = f"ulimit -f 0; exec {COMMAND} status"
    ended = subprocess.run(
        ["bash", "-c", command],
        cwd=altered.folder,
        env=altered.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 70, ended
    assert re.search(r"its details could not be written \(\w+\), --debug prints", ended.stderr)
    assert "Traceback" not in ended.stderr


def test_of_many_files_the_oldest_go(altered: CommandLine, tmp_path: Path) -> None:
    folder = tmp_path / "state" / "person-sync" / "errors"
    folder.mkdir(parents=True)
    for number in range(60):
        (folder / f"20200101-0000{number:02}-1.txt").touch()
    assert altered("status").exit_code == 70
    files = details(tmp_path / "state")
    assert len(files) == 50
    assert files[-1].stat().st_size > 0


def test_an_error_in_a_run_names_the_run(cli: CommandLine, tmp_path: Path) -> None:
    """A library may end the process, and its text may quote anything."""
    answer = with_module(cli, tmp_path, "import sys\nsys.exit('canary')\n")
    assert answer.exit_code == 70
    (run,) = cli.scenario.rows("select * from sync_runs")
    assert f"an unexpected error in run {run['run_id']} (SystemExit)" in answer.stderr
    assert (run["run_state"], run["error_code"]) == ("failed", "SystemExit")
    (file,) = details(tmp_path / "state")
    text = file.read_text(encoding="utf-8")
    assert f"run: {run['run_id']}" in text
    assert "canary" not in f"{run} {answer.output} {text}"


def test_an_endless_recursion_is_unexpected_and_its_details_are_short(
    cli: CommandLine, tmp_path: Path
) -> None:
    answer = with_module(cli, tmp_path, "def f(n):\n    f(n + 1)\nf(0)\n")
    assert (answer.exit_code, "(RecursionError)" in answer.stderr) == (70, True)
    (file,) = details(tmp_path / "state")
    assert len(file.read_text(encoding="utf-8").splitlines()) < 80


def test_a_missing_extra_is_a_setting_that_is_wrong(cli: CommandLine, tmp_path: Path) -> None:
    answer = with_module(cli, tmp_path, "raise ModuleNotFoundError(name='distributed')\n")
    assert answer.exit_code == 2
    assert 'pip install "person-sync[dask]"' in answer.stderr


def with_module(cli: CommandLine, folder: Path, text: str) -> Any:
    """Run on Dask where the module `distributed` is this text."""
    cli.scenario.put("person_id | last_name | company\n3 | Three | Three\n4 | Four | Four")
    cli.set(run={"task_runner": "dask", "slice_size": 1, "workers": 2})
    (folder / "distributed.py").write_text(text)
    state = str(folder / "state")
    environment = {**cli.environment, "PYTHONPATH": str(folder), "XDG_STATE_HOME": state}
    return run_command("run", folder=cli.folder, environment=environment)


def test_a_thread_that_fails_prints_no_traceback(tmp_path: Path) -> None:
    program = """
import sys, threading
from pipelines.process import ending
def command():
    failing = threading.Thread(target=lambda: {}["canary"])
    failing.start(), failing.join()
    class Broken:
        def __del__(self): raise ValueError("canary")
    Broken()
    import logging
    try: {}["canary"]
    except KeyError: logging.getLogger("others").exception("something")
    return 0
ending.end_process(command)
"""
    environment = clean_environment(XDG_STATE_HOME=str(tmp_path))
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    (file,) = details(tmp_path)
    assert ended.returncode == 0
    assert ended.stderr == (
        "person-sync: a background thread ended: an unexpected error (KeyError), a mistake of "
        f"Person Sync: its details, without personal data, are in {file}\nsomething\n"
    )
    assert "canary" not in file.read_text(encoding="utf-8")


# --- stdout and stderr


def shell(cli: CommandLine, line: str, **environment: str) -> tuple[int, str]:
    """Exit code of the first command of a pipe, and everything on stderr."""
    script = f"{line}; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(
        ["bash", "-c", script.replace("person-sync", str(COMMAND))],
        cwd=cli.folder,
        env={**cli.environment, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("options", ["", " --json"])
@pytest.mark.parametrize("line", ["status{} | head -0", "status{} | head -1", "status{} >&-"])
def test_a_reader_who_has_seen_enough_is_no_error(
    cli: CommandLine, line: str, options: str
) -> None:
    cli("now", "P1")
    assert shell(cli, f"person-sync {line.format(options)}") == (0, "")


@pytest.mark.parametrize("line", ["--help | head -0", "--version | head -0", "status --help >&-"])
def test_nor_is_one_of_the_help(cli: CommandLine, line: str) -> None:
    assert shell(cli, f"person-sync {line}") == (0, "")


def test_the_exit_code_of_a_run_survives_its_reader(cli: CommandLine) -> None:
    code, reported = shell(cli, "person-sync run 2>&1 | head -1")
    assert (code, reported) == (1, "")  # one of two was rejected, more than is allowed
    assert cli.scenario.outcome_counts() == {"created": 1, "rejected": 1}


@pytest.mark.parametrize("options", ["", " --json"])
def test_a_full_disk_behind_stdout_is_a_sentence(cli: CommandLine, options: str) -> None:
    code, reported = shell(cli, f"person-sync status{options} > /dev/full")
    assert code == 3
    assert reported == (
        "person-sync: the output could not be written (No space left on device): make room; "
        "`person-sync status` shows it\n"
    )


def test_a_full_disk_hides_no_worse_exit_code(cli: CommandLine) -> None:
    code, _ = shell(cli, "person-sync now P1 P2 > /dev/full")
    assert code == 1


@pytest.mark.parametrize("place", ["2>&-", "2> /dev/full"])
def test_without_stderr_a_run_does_its_work(cli: CommandLine, place: str) -> None:
    assert shell(cli, f"person-sync now P1 {place}") == (0, "")
    assert cli.scenario.outcome_counts() == {"created": 1}


NAMED = """
person_id | last_name | company
森田😀    | Morita    |
"""


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "cp1252:strict"},
    ],
    ids=str,
)
def test_a_name_that_the_terminal_cannot_show_is_no_error(
    cli: CommandLine, environment: dict[str, str]
) -> None:
    cli.scenario.put(NAMED)
    ended = subprocess.run(
        [COMMAND, "now", "森田😀", "--json"],
        cwd=cli.folder,
        env={**cli.environment, **environment},
        capture_output=True,
        timeout=120,
    )
    assert ended.returncode == 1, ended  # rejected, without a company
    (person,) = json.loads(ended.stdout)["persons"]
    assert person["person_id"] == "森田😀"


# --- Where it runs, and its arguments


def test_a_folder_that_was_deleted_is_reported(cli: CommandLine) -> None:
    code, reported = shell(cli, "mkdir gone; cd gone; rmdir ../gone; person-sync status")
    assert (code, "the current folder is gone: change into another one" in reported) == (2, True)


@pytest.mark.parametrize(
    "words", [("now", b"\xff"), ("run", "--person-id", b"\xff"), ("status", b"P\xff")]
)
def test_an_argument_that_is_no_text_is_reported(
    cli: CommandLine, words: tuple[str | bytes, ...]
) -> None:
    ended = subprocess.run(
        [COMMAND, *words], cwd=cli.folder, env=cli.environment, capture_output=True
    )
    assert (ended.returncode, b"is not UTF-8 text" in ended.stderr) == (2, True), ended
    assert cli.untouched()


def test_a_user_without_a_home_in_a_folder_that_is_closed_to_them(
    cli: CommandLine, tmp_path: Path
) -> None:
    """As in a container with a user id of its own."""
    closed = tmp_path / "closed"
    closed.mkdir()
    user = ["unshare", "--user", "--map-user=12345", "--map-group=12345"]
    if subprocess.run([*user, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine gives no user ids of one's own")
    inside = f"chmod 0 .; {' '.join(user)} env -u HOME {COMMAND} status"
    config = {"PERSON_SYNC_CONFIG": str(cli.folder / "person-sync.toml")}
    for given, code in ((config, 0), ({}, 2)):
        environment = {**cli.environment, **given}
        done = subprocess.run(
            ["bash", "-c", inside], cwd=closed, env=environment, capture_output=True, text=True
        )
        assert (done.returncode, "unexpected" in done.stderr) == (code, False), done
    os.chmod(closed, 0o700)


def test_every_command_takes_debug(tmp_path: Path) -> None:
    for command in ("status", "run", "emulator", "demo", "check"):
        reported = run_command(command, "--help", folder=tmp_path, environment=clean_environment())
        assert "--debug" in reported.stdout
