"""Which log lines this process shows: ours, and warnings of other libraries."""

from __future__ import annotations

import logging
from typing import Final

OURS: Final = "pipelines"

# Whatever level the root logger has, these stay at WARNING. At DEBUG urllib3 logs whole URLs, and a
# SOQL query in a URL holds e-mail addresses; SQLAlchemy logs statements and zeep whole messages.
_QUIET: Final = ("urllib3", "requests", "simple_salesforce", "zeep", "sqlalchemy", "psycopg")


def set_levels() -> logging.Logger:
    """Show our lines from INFO on and other libraries' from WARNING on; return our logger.

    A level of our own is needed: without one the root logger's WARNING holds, and a run's page in
    Prefect stays empty. May be repeated.
    """
    # A line that cannot be written, for example to a server that is away, prints no traceback.
    logging.raiseExceptions = False
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    ours = logging.getLogger(OURS)
    ours.setLevel(logging.INFO)
    return ours
