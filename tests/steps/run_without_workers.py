"""A run whose workers are elsewhere, as a process of its own: to be killed over their heads.

    python -m tests.steps.run_without_workers CONFIG.toml

Lists the new persons, prints what workers have to be told, and waits.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from pipelines.run import lifecycle, workers
from pipelines.settings import load_settings
from pipelines.steps import extract
from pipelines.steps.context import new_run_request

if __name__ == "__main__":
    with lifecycle.open_run(load_settings(Path(sys.argv[1])), new_run_request("live")) as run:
        extract.find_new_persons(run)
        sys.stdout.write(json.dumps(asdict(workers.worker_spec(run))) + "\n")
        sys.stdout.flush()
        sys.stdin.read()
