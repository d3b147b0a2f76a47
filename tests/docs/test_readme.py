"""README agrees with the code: its commands run, its settings load, its names exist."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import flows
from pipelines.cli import main
from pipelines.demo import local, sample_data
from pipelines.settings import Settings, load_settings
from pipelines.steps.context import new_run_request
from tests.cli.conftest import COMMAND, CommandResult, as_toml, clean_environment, run_command
from tests.prefect_server import Server

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

SAVE_SECRET, COPY_FILES = re.findall(r"^python -c .*", README, re.MULTILINE)
# Every command of README's sh blocks, and the test that runs it. A new one fails here first.
COVERED = {
    "make demo": "test_make_has_the_target",
    "make test": "test_make_has_the_target",
    ".venv/bin/person-sync status --config .demo/person-sync.toml": "test_a_command_of_the_demo",
    ".venv/bin/person-sync run --config .demo/person-sync.toml": "test_a_command_of_the_demo",
    ".venv/bin/person-sync now P0001 --config .demo/person-sync.toml": "test_a_command_of_the_demo",
    "export PERSON_SYNC_SALESFORCE__CONSUMER_SECRET=...": "test_the_secret_comes_from_the_variable",
    "person-sync check": "test_the_secret_comes_from_the_variable",
    "person-sync run --plan": "tests/orchestration/test_run_with_prefect.py",
    "person-sync run": "tests/cli/test_run.py",
    'person-sync resolve P0001 --as created:00Q5e00000AbCd1EAF --note "found by phone number"': (
        "test_a_resolve_command_is_understood"
    ),
    "person-sync resolve P0002 --as resend": "test_a_resolve_command_is_understood",
    "person-sync resolve P0003 --as rejected": "test_a_resolve_command_is_understood",
    ". .venv/bin/activate": "tests/docs/test_schedule.py",
    "prefect server start": "tests/docs/test_schedule.py",
    "prefect config set PREFECT_API_URL=http://127.0.0.1:4200/api": "tests/docs/test_schedule.py",
    "prefect work-pool create person-sync --type process": "tests/docs/test_schedule.py",
    SAVE_SECRET: "tests/docs/test_schedule.py",
    "prefect automation create --from-file pipelines/orchestration/automations.yaml": (
        "tests/docs/test_schedule.py"
    ),
    "prefect deploy --all": "tests/docs/test_schedule.py",
    "prefect worker start --pool person-sync": "tests/docs/test_schedule.py",
    "prefect deployment run sync-persons/nightly": "tests/docs/test_schedule.py",
    COPY_FILES: "tests/docs/test_wheel.py",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    lines = [
        line.partition(" #")[0].strip() for block in blocks("sh") for line in block.split("\n")
    ]
    return [line for line in lines if line]


def test_every_command_is_covered_by_a_test() -> None:
    assert set(commands()) == set(COVERED)


@pytest.mark.parametrize("target", ["demo", "test"])
def test_make_has_the_target(target: str) -> None:
    # Only looked at: what they would do is what other tests do.
    shown = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert {"demo": "person-sync demo --prefect\n", "test": "pytest --numprocesses "}[
        target
    ] in shown.stdout


# --- The commands of the demo, in a demo's folder


@pytest.fixture(scope="module")
def demo_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the demo in `.demo/`, played without Prefect."""
    home = tmp_path_factory.mktemp("readme")
    folder = home / ".demo"
    local.clean_start(folder)
    sample_data.fill_warehouse(
        folder / "warehouse.db", sample_data.read_persons(sample_data.DATA / "persons.csv")
    )
    org = ["emulator", "--port", "0", "--org", str(sample_data.DATA / "org.toml")]
    with subprocess.Popen([COMMAND, *org], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            sample_data.write_config(folder, process.stdout.readline().split()[-1])
            flows.sync(local.settings_of(folder), new_run_request("live"), flows.call_step)
            yield home
        finally:
            process.terminate()


def typed(command: str, home: Path, server: Server, **environment: str) -> CommandResult:
    """The command as it is typed in that folder, `.venv/bin/` left out."""
    words = command.removeprefix(".venv/bin/").split()
    assert words[0] == "person-sync"
    given = clean_environment(**server.own, **environment)
    return run_command(*words[1:], folder=home, environment=given)


OF_THE_DEMO = [one for one, test in COVERED.items() if test == "test_a_command_of_the_demo"]


@pytest.mark.parametrize("command", OF_THE_DEMO)
def test_a_command_of_the_demo(command: str, demo_home: Path, prefect_server: Server) -> None:
    answer = typed(command, demo_home, prefect_server)
    assert answer.exit_code == 0, answer.stderr
    assert any(words in answer.stdout for words in ("212 read", "0 read", "P0001: created lead"))


def test_the_secret_comes_from_the_variable(demo_home: Path, prefect_server: Server) -> None:
    settings = tomllib.loads((demo_home / ".demo" / "person-sync.toml").read_text("utf-8"))
    del settings["salesforce"]["consumer_secret"]
    settings["warehouse"]["url"] = "sqlite:///.demo/warehouse.db"
    (demo_home / "person-sync.toml").write_text(as_toml(settings), encoding="utf-8")
    variable = commands()[5].removeprefix("export ").removesuffix("=...")
    assert typed("person-sync check", demo_home, prefect_server).exit_code == 2
    given = {variable: "demo-secret"}
    assert typed("person-sync check", demo_home, prefect_server, **given).exit_code == 0


@pytest.mark.parametrize("command", [one for one in COVERED if " resolve " in one])
def test_a_resolve_command_is_understood(
    command: str, demo_home: Path, prefect_server: Server
) -> None:
    words = shlex.split(command)[1:]
    given = clean_environment(**prefect_server.own)
    answer = run_command(
        *words, "--config", ".demo/person-sync.toml", folder=demo_home, environment=given
    )
    # No person of the demo is held: the ledger is asked last, when all else is right.
    assert (answer.exit_code, "not held" in answer.stderr) == (2, True), answer.stderr


# --- The command's table


def test_the_table_of_commands_is_the_commands_own() -> None:
    assert set(re.findall(r"^\| `person-sync (\w+)", README, re.MULTILINE)) == set(main.commands)


def test_the_options_named_for_a_command_are_its_options() -> None:
    for name in ("run", "resume"):
        (row,) = re.findall(rf"^\| `person-sync {name}` \|.*", README, re.MULTILINE)
        there = {one for option in main.commands[name].params for one in option.opts}
        assert set(re.findall(r"`(--[\w-]+)`", row)) == there - {"--config", "--json", "--debug"}


def test_every_command_takes_config_and_json() -> None:
    for command in main.commands.values():
        options = {one for option in command.params for one in option.opts}
        assert {"--config", "--json", "--debug"} <= options, command.name


def test_the_exit_codes_are_those_of_the_errors() -> None:
    from pipelines import errors
    from pipelines.process import error_details

    codes = {int(one) for one in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    kinds = [one for one in vars(errors).values() if isinstance(one, type)]
    raised = {one.exit_code for one in kinds if hasattr(one, "exit_code")}
    signals = {128 + signal.SIGINT, 128 + signal.SIGTERM}
    assert codes == raised | {0, 1, error_details.EXIT_CODE} | signals


# --- Settings

# Those of the contract or of long use that README leaves to the contract.
IN_THE_CONTRACT = {
    "salesforce": {
        "consumer_secret",
        "username",
        "password",
        "security_token",
        "private_key_file",
        "access_token",
        "instance_url",
        "api_version",
        "emulator_url",
    },
    "owners": {"without_active_rule", "default_lead_owner"},
    "run": {
        "allowed_reject_share",
        "slice_size",
        "batch_size",
        "batch_size_without_field",
        "open_batches",
        "lease_seconds",
        "poll_seconds",
        "start_timeout_seconds",
        "retry_timeout_seconds",
        "deadline_minutes",
        "progress_seconds",
        "workers",
        "task_runner",
        "dask_address",
    },
}


def test_the_settings_of_the_readme_load(tmp_path: Path) -> None:
    (block,) = blocks("toml")
    file = tmp_path / "person-sync.toml"
    file.write_text(block, encoding="utf-8")
    settings = load_settings(file, {})
    assert settings.owners.choice[0]["assign_to"] == "queue:DACH_Inbound"
    assert settings.defaults == {}
    uncommented = block.replace("# Company", "Company")
    file.write_text(uncommented, encoding="utf-8")
    assert load_settings(file, {}).defaults == {"Company": "[not provided]"}


def test_every_setting_is_in_the_readme_or_known_to_be_left_out() -> None:
    shown = tomllib.loads(blocks("toml")[0])
    for group, field in Settings.model_fields.items():
        names = set(getattr(field.annotation, "model_fields", {}))
        assert names == set(shown.get(group, {})) & names | IN_THE_CONTRACT.get(group, set()), group


def test_the_other_values_named_in_comments_are_accepted() -> None:
    other = {
        "login": ["jwt", "password", "access_token"],
        "existing_lead": ["update"],
        "existing_contact": ["update"],
        "contact_with_queue": ["report"],
        "deleted": ["report"],
        "lookup": ["soql", "snapshot"],
    }
    shown = tomllib.loads(blocks("toml")[0])
    for name, values in other.items():
        group = "salesforce" if name == "login" else "matching"
        for value in values:
            changed = {**shown, group: {**shown[group], name: value}}
            assert Settings.model_validate(changed)


# --- What it writes, and the map


def test_every_view_that_is_named_exists() -> None:
    views = {file.stem for file in (ROOT / "sql" / "views").glob("*.sql")}
    named = set(re.findall(r"\b(?:dim|fct|rpt)_\w+", README))
    assert named
    assert named <= views


def test_every_table_that_is_named_is_made_by_the_migrations() -> None:
    section = README.split("## What it writes")[1].split("BI reads")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    scripts = [file.read_text("utf-8") for file in (ROOT / "sql" / "migrations").glob("*.sql")]
    made = set(re.findall(r"^create table (\w+)", "\n".join(scripts), re.MULTILINE))
    assert named <= made
    # Those that only the ledger reads.
    assert made - named == {"person_emails", "run_persons", "schema_versions", "sync_orgs"}


def files_of_the_map() -> dict[str, set[str]]:
    """Return what the map names in `pipelines`: at the top (""), and in each folder it opens."""
    drawn = README.split("## Map of the files")[1].split("```")[1]
    found: dict[str, set[str]] = {"": set()}
    folder = ""
    for spaces, name in re.findall(r"^( +)(\S+)", drawn.split("\nsql/")[0], re.MULTILINE):
        if len(spaces) == 2:
            folder = name
            found[""].add(name)
        else:
            found.setdefault(folder, set()).add(name)
    return found


def modules_in(folder: Path) -> set[str]:
    return {file.name for file in folder.glob("*.py")} - {"__init__.py"}


def test_the_map_names_every_file_and_folder_at_the_top() -> None:
    package = ROOT / "pipelines"
    folders = {f"{file.parent.name}/" for file in package.glob("*/__init__.py")}
    assert files_of_the_map()[""] == modules_in(package) | folders


def test_a_folder_that_the_map_opens_is_shown_whole() -> None:
    opened = {name: files for name, files in files_of_the_map().items() if name}
    assert {"run/", "steps/", "orchestration/", "process/", "demo/"} <= set(opened)
    for name, files in opened.items():
        assert {one for one in files if one.endswith(".py")} == modules_in(
            ROOT / "pipelines" / name
        )


def test_everything_on_the_map_exists() -> None:
    for folder, names in files_of_the_map().items():
        for name in names:
            assert (ROOT / "pipelines" / folder / name).exists(), f"{folder}{name}"
    drawn = README.split("## Map of the files")[1].split("```")[1]
    for name in re.findall(r"^(\w+)/", drawn, re.MULTILINE):
        assert (ROOT / name).is_dir()
