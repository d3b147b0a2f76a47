"""The command where a Prefect server is named: the fixtures of `tests/cli`."""

from __future__ import annotations

from tests.cli.conftest import (
    cli,
    cli_with_prefect,
    command_server,
    ctrl_c_reaches_a_child,
    make_cli,
    prefect_home,
)
from tests.steps.conftest import any_scenario, emulator_process, scenario

__all__ = [
    "any_scenario",
    "cli",
    "cli_with_prefect",
    "command_server",
    "ctrl_c_reaches_a_child",
    "emulator_process",
    "make_cli",
    "prefect_home",
    "scenario",
]
