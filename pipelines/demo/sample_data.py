"""The demo's persons, warehouse and settings file, made from the folder `data/`."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import sqlalchemy

from pipelines.settings import FILE_NAME

_PACKAGE = Path(__file__).parents[1]
# In a wheel it is inside the package; in the project it is in the folder above.
DATA = next(f / "data" for f in (_PACKAGE, _PACKAGE.parent) if (f / "data").is_dir())
CONFIG = """\
# Written by `person-sync demo`. Relative paths are relative to this file.
[warehouse]
url = "sqlite:///warehouse.db"

[salesforce]
login = "client_credentials"
domain = "acme.my"
consumer_key = "demo-key"
consumer_secret = "demo-secret"          # the emulator's; a real one belongs in the environment
emulator_url = "{url}"

[run]
poll_seconds = 0.1                       # the emulator is quicker than an org
allowed_reject_share = 0.25              # a fifth of the sample is rejected on purpose

{owners}"""


def read_persons(path: Path) -> pd.DataFrame:
    """Return the persons of a CSV file, every cell a text or missing."""
    # Text as text: "None", "NA" and "007" are names and numbers of persons, not of pandas.
    return pd.read_csv(path, dtype="str", keep_default_na=False, na_values=[""], na_filter=True)


def fill_warehouse(path: Path, persons: pd.DataFrame) -> None:
    """Create a SQLite warehouse with a persons table that holds these persons."""
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    texts = {name: sqlalchemy.Text() for name in persons.columns}
    with engine.begin() as connection:
        persons.to_sql("persons", connection, index=False, dtype=texts, chunksize=10_000)
    engine.dispose()


def invent_persons(sample: pd.DataFrame, count: int) -> Iterator[dict[str, str | None]]:
    """Yield `count` persons with names of the sample: 3 in 100 invalid, 4 in 100 duplicates."""
    dice = random.Random(1)  # noqa: S311 - a demo, not a secret; the same persons every time
    pools = {name: list(sample[name].dropna()) for name in ("first_name", "last_name", "company")}
    places = list(sample[["city", "country"]].dropna().itertuples(index=False))
    for number in range(1, count + 1):
        person: dict[str, str | None] = {name: dice.choice(pool) for name, pool in pools.items()}
        person["city"], person["country"] = dice.choice(places)
        again = number > 1 and dice.random() < 0.04
        person["email"] = f"person{number - 1 if again else number}@invented.example"
        if dice.random() < 0.03:
            person[dice.choice(("company", "last_name"))] = None
        person["company"] = person["company"] and person["company"][:200]
        person["last_name"] = person["last_name"] and person["last_name"][:60]
        yield {
            "person_id": f"N{number:07d}",
            **person,
            "created_at": "2026-11-20 08:00:00",
            "updated_at": "2026-11-20 08:00:00",
        }


def write_config(folder: Path, url: str) -> None:
    """Write the demo's settings file."""
    owners = (DATA / "owner-choices.toml").read_text(encoding="utf-8")
    (folder / FILE_NAME).write_text(CONFIG.format(url=url, owners=owners), encoding="utf-8")
