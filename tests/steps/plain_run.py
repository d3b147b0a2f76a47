"""One run told plainly, as a process of its own: to run beside another, or to be killed.

    python -m tests.steps.plain_run CONFIG.toml live|now|resume|plan [ID...]

Says `ready` on stderr once everything is imported, prints the summary as JSON, and exits as the
command does.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines import flows
from pipelines.errors import SyncError
from pipelines.run import summaries
from pipelines.settings import load_settings
from pipelines.steps.context import new_run_request


def main(arguments: Sequence[str]) -> int:
    """Tell the story once; answers the exit code."""
    config, mode, *ids = arguments
    try:
        settings = load_settings(Path(config))
        request = new_run_request(mode, person_ids=tuple(ids) or None)
        tell = flows.complete_open_batches if mode == "resume" else flows.sync
        summary = tell(settings, request, flows.call_step)
    except SyncError as error:
        _say({"error": type(error).__name__, "message": str(error)})
        return error.exit_code
    _say(summary)
    return summaries.exit_code(summary, settings.run.allowed_reject_share)


def _say(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")


if __name__ == "__main__":
    sys.stderr.write("ready\n")
    sys.stderr.flush()
    sys.exit(main(sys.argv[1:]))
