"""Find out, without importing Prefect, whether this machine may name a Prefect server.

Importing Prefect takes a second. A command imports it only if a server may be named. That is in the
environment, in a settings file of the current folder, or in a profile. Prefect then decides.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

API_URL = "PREFECT_API_URL"

# Where Prefect 3.9 looks, after the environment, and by which text an API's address is known there.
_FOLDER_FILES = {".env": "prefect_api_url", "prefect.toml": "url", "pyproject.toml": "prefect.api"}


def may_name_a_server(environment: Mapping[str, str], folder: Path) -> bool:
    """Return False only where Prefect cannot know of a server.

    `folder` is the current folder, from which Prefect reads its settings files.
    """
    if API_URL in environment:
        return bool(environment[API_URL].strip())
    if any(_mentions(folder / name, text) for name, text in _FOLDER_FILES.items()):
        return True
    home = environment.get("PREFECT_HOME") or "~/.prefect"
    profiles = Path(environment.get("PREFECT_PROFILES_PATH") or f"{home}/profiles.toml")
    try:
        return _mentions(profiles.expanduser(), "prefect_api_url")
    except RuntimeError:  # a user without a home, as in a container: no profile there either
        return False


def _mentions(file: Path, text: str) -> bool:
    try:
        return os.path.isfile(file) and text in file.read_text("utf-8", "replace").lower()
    except OSError:
        return False
