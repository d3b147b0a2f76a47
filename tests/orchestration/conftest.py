"""The command where a Prefect server is named: the fixtures of `tests/cli`."""

from __future__ import annotations

from tests.cli.conftest import (
    cli,
    cli_with_prefect,
    ctrl_c_reaches_a_child,
    make_cli,
    prefect_home,
)

__all__ = [
    "cli",
    "cli_with_prefect",
    "ctrl_c_reaches_a_child",
    "make_cli",
    "prefect_home",
]
