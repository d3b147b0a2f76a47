"""What the outside may choose: one TOML file and the environment, read once and frozen.

The environment (`PERSON_SYNC_<GROUP>__<NAME>`) beats the file, the file beats the defaults. The
file is `--config`, else `PERSON_SYNC_CONFIG`, else `person-sync.toml` in the current folder.
Relative paths in the file are relative to the file. Below `load_settings` nothing reads the
environment.
"""

from pipelines.settings.groups import DEFAULT_FIELDS, RunSettings, SalesforceSettings, Settings
from pipelines.settings.loading import load_settings
from pipelines.settings.sources import FILE_NAME

__all__ = [
    "DEFAULT_FIELDS",
    "FILE_NAME",
    "RunSettings",
    "SalesforceSettings",
    "Settings",
    "load_settings",
]
