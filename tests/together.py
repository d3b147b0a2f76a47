"""Which test files stay together on one worker, because their tests share something costly.

It is a Prefect server, a demo, or what a run makes when nothing disturbs it. pytest-xdist has a
mark for this, but it does not work with pytest 9.2, where node ids cannot be renamed. So we group
tests by their file ourselves. Groups start first (xdist takes the piece with the most tests first),
and single tests fill up the end, when the workers would wait for a long group otherwise.
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
    "tests/demo/test_demo.py": "demo",
    "tests/demo/test_demo_with_prefect.py": "demo-prefect",
    "tests/orchestration/test_interrupted_flow_run.py": "prefect",
    "tests/orchestration/test_run_page.py": "prefect",
    "tests/orchestration/test_run_with_prefect.py": "prefect",
    "tests/orchestration/test_workers_with_prefect.py": "prefect",
    "tests/crash/model/test_code_and_model_agree.py": "code-and-model",
    "tests/crash/test_accounts.py": "crash",
    "tests/crash/test_command.py": "crash",
    "tests/crash/test_full_disk.py": "crash",
    "tests/crash/test_pairs.py": "crash",
    "tests/crash/test_sample.py": "crash",
    "tests/crash/test_takeover.py": "crash",
}


class Together(LoadScopeScheduling):
    """Give each test, and each group as a whole, to whichever worker is free."""

    def _split_scope(self, nodeid: str) -> str:
        return GROUPS.get(nodeid.partition("::")[0], nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    """Use this scheduler when there are several workers."""
    return Together(config, log)
