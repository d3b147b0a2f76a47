"""The import rules of `pipelines/`: one way, from the commands down to the errors."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pipelines"
MODULES = sorted(PACKAGE.rglob("*.py"))

# From top to bottom. A package or file imports from the layers below its own, and from itself.
# So warehouse never meets Salesforce: they are of one layer.
LAYERS = (
    {"__main__"},
    {"cli"},
    {"demo", "orchestration"},
    {"flows"},
    {"run"},
    {"steps"},
    {"warehouse", "salesforce"},
    {"rules"},
    {"settings", "process", "progress", "retry", "memory"},
    {"errors"},
)
APART = {"emulator", "__init__"}  # import nothing of ours, and nothing imports them


def imports_of(path: Path) -> set[str]:
    """Return every module that a file imports, those inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides what is imported"
            module = node.module or ""
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def modules_imported(path: Path) -> set[Path]:
    """Return the files of ours that a file imports."""
    found = set()
    for name in imports_of(path):
        place = ROOT.joinpath(*name.split("."))
        found |= {place.with_suffix(".py"), place / "__init__.py"} & set(MODULES)
    # Importing a package from one of its own files is how its other files are reached.
    return found - {path, path.parent / "__init__.py", PACKAGE / "__init__.py"}


def unit(path: Path) -> str:
    """Return the package a file is in, or its own name at the top."""
    inside = path.relative_to(PACKAGE)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def layer(name: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if name in names)


def test_every_file_has_a_layer() -> None:
    assert {unit(path) for path in MODULES} == set.union(*LAYERS, APART)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_from_the_layers_below(path: Path) -> None:
    others = {unit(one) for one in modules_imported(path)} - {unit(path)}
    if unit(path) in APART:
        assert others == set()
    assert not others & APART
    assert [name for name in sorted(others) if layer(name) <= layer(unit(path))] == []


def test_no_files_import_each_other_in_a_circle() -> None:
    graph = {path: modules_imported(path) for path in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = " → ".join(str(path.relative_to(PACKAGE)) for path in error.args[1])
        raise AssertionError(f"these files import each other: {circle}") from None


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_orchestration_imports_prefect(path: Path) -> None:
    if unit(path) != "orchestration":
        names = {name.split(".")[0] for name in imports_of(path)}
        assert not names & {"prefect", "prefect_dask"}


def test_nothing_imports_the_tests() -> None:
    for path in MODULES:
        assert not any(name.split(".")[0] == "tests" for name in imports_of(path)), path


def test_the_top_level_is_as_the_owner_fixed_it() -> None:
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."}
    assert folders - {"person_sync.egg-info", "build"} == {"pipelines", "sql", "tests", "data"}


def test_what_a_run_does_fits_on_two_screens() -> None:
    lines = (PACKAGE / "flows.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120


def test_no_test_patches_what_it_tests() -> None:
    names = ("mock" + ".patch", "Magic" + "Mock", "monkeypatch" + ".setattr", "mocker" + ".")
    for path in (ROOT / "tests").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not any(name in text for name in names), path
