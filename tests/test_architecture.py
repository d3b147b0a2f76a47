"""The plan of the house, held: who may know whom."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pipelines"
MODULES = sorted(PACKAGE.rglob("*.py"))


def imports_of(path: Path) -> set[str]:
    """Every module a file imports, those inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide who knows whom"
            module = node.module or ""
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def ours(path: Path) -> set[str]:
    return {name for name in imports_of(path) if name.split(".")[0] == "pipelines"}


def room(path: Path) -> str:
    """The room a file stands in: its folder, or its own name at the top of the house."""
    inside = path.relative_to(PACKAGE)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def rooms_known(path: Path) -> set[str]:
    return {name.split(".")[1] for name in ours(path) if "." in name} - {room(path)}


# From top to bottom. A room may know those named here and no other: no arrow upward, no circle.
MAY_KNOW = {
    "__main__": {"interruption", "ending", "cli"},
    "ending": {"error_details", "interruption", "standard_streams"},
    "interruption": {"errors"},
    "error_details": set(),
    "standard_streams": set(),
    "cli": {
        *("prefect_flows", "prefect_hints", "flows", "demo", "demo_prefect", "connections"),
        *("preflight", "runs", "resolving", "summaries", "settings", "logs", "errors"),
        *("ending", "interruption"),
    },
    "demo": {
        *("demo_prefect", "flows", "runs", "connections", "summaries"),
        *("settings", "errors", "salesforce"),
    },
    "demo_prefect": {"demo_server", "settings", "errors"},
    "demo_server": set(),
    "tied_process": set(),
    "prefect_flows": {
        *("prefect_page", "flows", "runs", "workers", "worker_pools", "judging", "summaries"),
        *("error_details", "interruption", "settings", "logs", "errors"),
    },
    "prefect_page": {
        *("artifacts", "summaries", "connections", "warehouse"),
        *("settings", "logs", "errors"),
    },
    "prefect_hints": set(),
    "artifacts": {"summaries"},
    "flows": {"runs", "workers", "worker_pools", "summaries", "judging", "settings"},
    "worker_pools": {"settings", "errors"},
    "workers": {
        *("runs", "connections", "preflight", "judging", "delivery", "memory", "retry"),
        *("settings", "warehouse", "errors"),
    },
    "summaries": {"warehouse", "errors"},
    "runs": {
        *("connections", "preflight", "judging", "matching", "mirroring", "delivery"),
        *("resolving", "unknown_jobs", "summaries", "memory", "progress", "retry", "error_details"),
        *("rules", "settings", "warehouse", "errors"),
    },
    "resolving": {"preflight", "rules", "salesforce", "settings", "warehouse", "errors"},
    "delivery": {
        *("payloads", "settling", "preflight", "batch_log", "progress", "retry"),
        *("rules", "salesforce", "warehouse", "errors"),
    },
    "settling": {"preflight", "rules", "salesforce", "warehouse", "errors"},
    "judging": {"payloads", "preflight", "retry", "rules", "warehouse", "errors"},
    "payloads": {"preflight", "rules", "salesforce", "warehouse"},
    "preflight": {
        *("connections", "matching", "unknown_jobs"),
        *("rules", "salesforce", "warehouse", "settings", "errors"),
    },
    "matching": {"mirroring", "rules", "salesforce", "warehouse", "errors"},
    "mirroring": {"rules", "salesforce", "warehouse", "errors"},
    "unknown_jobs": {"salesforce", "warehouse", "errors"},
    "batch_log": {"retry", "salesforce", "warehouse"},
    "connections": {"salesforce", "warehouse", "settings"},
    "settings": {"errors"},
    "rules": set(),
    "warehouse": {"rules", "errors"},
    "salesforce": {"errors"},
    "retry": {"errors"},
    "errors": set(),
    "logs": set(),
    "memory": set(),
    "progress": set(),
    "emulator": set(),
    "__init__": set(),
}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_knows_only_the_rooms_below_it(path: Path) -> None:
    assert rooms_known(path) <= MAY_KNOW[room(path)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_files_named_after_it_import_prefect(path: Path) -> None:
    if room(path) not in ("prefect_flows", "prefect_page"):
        assert not any(name.split(".")[0] == "prefect" for name in imports_of(path))


def test_nothing_of_the_house_imports_its_tests() -> None:
    for path in MODULES:
        assert not any(name.split(".")[0] == "tests" for name in imports_of(path)), path


def test_the_top_level_is_as_the_owner_fixed_it() -> None:
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."}
    assert folders - {"person_sync.egg-info", "build"} == {"pipelines", "sql", "tests", "data"}


def test_what_a_run_does_fits_on_two_screens() -> None:
    lines = (PACKAGE / "flows.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 100


def test_no_test_patches_what_it_tests() -> None:
    words = ("mock" + ".patch", "Magic" + "Mock", "monkeypatch" + ".setattr", "mocker" + ".")
    for path in (ROOT / "tests").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not any(word in text for word in words), path
