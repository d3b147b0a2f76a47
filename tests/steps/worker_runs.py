"""Several workers in a test: threads without Prefect, persons in which their order matters, and all
that a run has said of everybody."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import pandas as pd

from pipelines import flows
from pipelines.run import workers
from pipelines.settings import Settings
from pipelines.steps.context import RunContext, new_run_request
from tests.steps.scenario import COLUMNS, Scenario

# Known to the org: to report, to update, and beside which a lead is made on purpose.
KNOWN = "".join(
    f'[[lead]]\nLastName = "Known"\nCompany = "Known"\nEmail = "p{n}@crew.example"\n'
    for n in (3, 4)
) + "".join(f'[[contact]]\nLastName = "Known"\nEmail = "p{n}@crew.example"\n' for n in (5, 6))
SMALL = {"slice_size": 6, "poll_seconds": 0.02}

OUTCOMES = """
select person_id, outcome, owner_strategy, owner_id, owner_name, owner_type, reason_code,
    defaulted_fields, attempt_count from person_outcomes order by person_id
"""
REJECTED = """
select person_id, rule_name, stage, field_name, observed_value from rejected_persons
order by person_id, rule_name
"""
# A record's id is another in every org; a person's is not.
DUPLICATES = """
select person_id, matched_in, match_key, matched_count, is_ambiguous, action_taken,
    case when matched_in = 'persons' then matched_id end as matched_person from duplicate_persons
order by person_id, matched_in, matched_id
"""


def make_mixed_persons(seed: int, count: int) -> pd.DataFrame:
    """Persons of whom many share an e-mail with others far away, some of them good for nothing."""
    chance = random.Random(seed)  # noqa: S311 - a seed, not a secret
    strategies = [None, "user:ada@acme.example", "queue:Inbound", "rule:Fair", "queue:Nowhere"]
    mails = [None, *(f"p{n}@crew.example" for n in range(count // 4))]
    rows = [
        {
            "person_id": f"P{number:04}",
            "last_name": chance.choice(["Name", "Name", "Name", None]),
            "company": "Engines",
            "email": chance.choice(mails),
            "country": chance.choice(["DE", "FR"]),
            "owner_strategy": chance.choice(strategies),
        }
        for number in range(1, count + 1)
    ]
    loud = chance.sample(range(count), count // 5)
    for number in loud:
        rows[number]["email"] = (rows[number]["email"] or "").upper() or None
    return pd.DataFrame(rows).reindex(columns=COLUMNS).astype("str")


@contextmanager
def in_threads(settings: Settings, run: RunContext) -> Iterator[None]:
    """The run's workers as threads, without Prefect."""
    with ThreadPoolExecutor(run.worker_count) as pool, workers.stop_on_error(run):
        share = workers.worker_spec(run)
        futures = [
            pool.submit(workers.work, share, lambda: settings) for _ in range(run.worker_count)
        ]
        yield
        workers.collect_results(run, [future.result for future in futures])


def sync_together(scenario: Scenario, count: int, **groups: dict[str, Any]) -> dict[str, Any]:
    """One run by so many threads; answers its summary."""
    settings = scenario.settings(**groups)
    request = new_run_request("live", workers=count)
    return flows.sync(settings, request, flows.call_step, partial(in_threads, settings))


def everything_said(scenario: Scenario) -> dict[str, list[dict[str, Any]]]:
    """All that the runs so far have said of everybody."""
    queries = {"outcomes": OUTCOMES, "rejected": REJECTED, "duplicates": DUPLICATES}
    return {name: scenario.rows(query) for name, query in queries.items()}
