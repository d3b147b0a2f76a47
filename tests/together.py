"""Which files stay together on one worker: each of their tests goes on where the last one stopped.

pytest-xdist has a mark for this, which pytest 9.2 no longer hears (its node ids cannot be renamed),
so we sort the tests by their file ourselves.
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

GROUPS = {
    "tests/benchmarks/test_bench.py": "bench",
    "tests/docs/test_readme.py": "prefect",
    "tests/docs/test_schedule.py": "schedule",
    "tests/docs/test_wheel.py": "prefect",
    "tests/emulator/test_jsforce.py": "jsforce",
    "tests/steps/test_dask.py": "prefect",
    "tests/steps/test_prefect.py": "prefect",
    "tests/cli/test_demo.py": "prefect",
    "tests/cli/test_demo_prefect.py": "demo-prefect",
    "tests/cli/test_interrupted_flow_run.py": "prefect",
    "tests/cli/test_prefect_page.py": "prefect",
    "tests/cli/test_run_by_workers.py": "prefect",
    "tests/crash/model/test_code_and_model_agree.py": "code-and-model",
    "tests/crash/test_accounts.py": "reliability",
    "tests/crash/test_full_disk.py": "reliability",
    "tests/crash/test_pairs.py": "reliability",
    "tests/crash/test_sample.py": "reliability",
    "tests/crash/test_takeover.py": "reliability",
}


class Together(LoadScopeScheduling):
    """Every test is a piece of work of its own, a group one piece."""

    def _split_scope(self, nodeid: str) -> str:
        return GROUPS.get(nodeid.partition("::")[0], nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    """Sort them so, when there are several workers."""
    return Together(config, log)
