"""Which lines reach a log, whatever level the root logger has."""

from __future__ import annotations

import logging
import subprocess
import sys

# urllib3 logs `GET /services/data/v67.0/query?q=…'ada@engines.example'…` at DEBUG.
URL_AT_DEBUG = """
import logging, sys
from pipelines.process import logs
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
logs.set_levels()
for name in ("urllib3.connectionpool", "sqlalchemy.engine.Engine", "zeep.transports",
             "simple_salesforce.login", "requests.sessions"):
    logging.getLogger(name).debug("GET ada@engines.example")
    logging.getLogger(name).info("GET ada@engines.example")
logging.getLogger("pipelines.run.lifecycle").info("persons: 3 new")
"""


def test_no_library_logs_an_address_even_where_the_root_logger_is_at_debug() -> None:
    done = subprocess.run(
        [sys.executable, "-c", URL_AT_DEBUG], capture_output=True, text=True, timeout=60, check=True
    )
    assert "ada@engines.example" not in done.stdout + done.stderr
    assert "persons: 3 new" in done.stdout


def test_our_lines_are_seen_where_the_root_logger_is_at_warning() -> None:
    from pipelines.process import logs

    ours = logs.set_levels()
    assert logging.getLogger("pipelines.run.lifecycle").isEnabledFor(logging.INFO)
    assert ours.name == "pipelines"
