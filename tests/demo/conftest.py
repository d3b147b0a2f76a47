"""A suite started in the background ignores Ctrl-C; the demo that it starts must not."""

from __future__ import annotations

from tests.cli.conftest import ctrl_c_reaches_a_child

__all__ = ["ctrl_c_reaches_a_child"]
