"""Helpers' assertions say what they compared, as a test's do: pytest rewrites them on import.

`tests/conftest.py` imports this module before it imports any of them.
"""

from __future__ import annotations

import pkgutil
from pathlib import Path

import pytest

_IMPORTED = ("assertions", "conftest")
pytest.register_assert_rewrite(
    *(
        f"tests.{one.name}"
        for one in pkgutil.iter_modules([str(Path(__file__).parent)])
        if one.name not in _IMPORTED
    )
)
