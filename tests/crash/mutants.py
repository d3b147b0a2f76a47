"""Bugs planted on purpose: a harness that lets one pass has no teeth.

Each is a named change of text in a copy of the project's code, which must be found exactly once, so
that a plant cannot rot unnoticed. Each names the smallest set of trials that must catch it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.crash.directed import ROOT
from tests.crash.variants import Kind

DELIVERY = "pipelines/steps/load.py"
SETTLING = "pipelines/steps/reconcile.py"
SESSION = "pipelines/salesforce/session.py"
TRANSPORT = "pipelines/salesforce/transport.py"
BATCHES = "pipelines/warehouse/ledger/batches.py"
JUDGEMENTS = "pipelines/warehouse/ledger/claims.py"
JUDGING = "pipelines/steps/transform.py"
MATCHING = "pipelines/steps/match.py"

ALONE = Kind("sqlite", has_field=False)  # the ledger stands alone: nothing hides its bugs
CREATE, PUT, CLOSE, POLL = (
    f"{method} /jobs/ingest{path}"
    for method, path in (("POST", ""), ("PUT", "/*/batches"), ("PATCH", "/*"), ("GET", "/*"))
)
RESULTS = "GET /jobs/ingest/*/successfulResults/"
CLOSING = "COMMIT update lead_batches closing"


@dataclass(frozen=True)
class Change:
    """A text of a file that stands in it once, and what stands there instead."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Trial:
    """A technique on a kind of world at a place: the first of its kind, on that side."""

    technique: str
    place: str = ""
    side: str = "before"
    kind: Kind = ALONE

    def __str__(self) -> str:
        where = f" {self.side} {self.place}" if self.place else ""
        return f"{self.technique}{where} ({self.kind})"


@dataclass(frozen=True)
class Plant:
    """A bug, and the trials of which one at least must catch it."""

    name: str
    changes: tuple[Change, ...]
    trials: tuple[Trial, ...]


def plant(changes: tuple[Change, ...], folder: Path) -> Path:
    """A copy of the project's code with these changes. Raises where a text is not there once."""
    for part in ("pipelines", "sql"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for change in changes:
        file = folder / change.file
        text = file.read_text(encoding="utf-8")
        if text.count(change.old) != 1:
            found = text.count(change.old)
            raise LookupError(f"found {found} times in {change.file}, not once: {change.old!r}")
        file.write_text(text.replace(change.old, change.new), encoding="utf-8")
    return folder


# No bug: two minutes are more than a test can wait for an answer that never comes.
IMPATIENT = (Change(SESSION, "timeout: Timeout = (10.0, 120.0)", "timeout: Timeout = (10.0, 0.5)"),)

# Nor this: nobody is looked up, so that with an emptied ledger the person-id field stands alone.
BLIND = (
    Change(MATCHING, "emails=list(emails.dropna()),", "emails=[],"),
    Change(MATCHING, "person_ids=list(person_ids) if self._field else [],", "person_ids=[],"),
)

_FENCED = ("open_batch", "close_batch", "count_batch", "return_batch", "finish_batch")
_FENCE = """
    and fencing_token = :fencing_token
    and leased_by_run_id = :leased_by_run_id
    and batch_state = :seen_state
"""
_NO_FENCE = """
    and cast(:fencing_token as integer) is not null
    and cast(:leased_by_run_id as text) is not null
    and cast(:seen_state as text) is not null
"""
_IGNORED = tuple(
    Change(f"sql/queries/{name}.sql", _FENCE, _NO_FENCE) for name in (*_FENCED, "renew_lease")
)
_UPLOAD = "    bulk.upload(org, job.job_id, data)\n"
_INTENT = "    batch = ledger.record_submitted(store, batch)\n"
_CLOSE = """    bulk.close_job(org, job.job_id)
    return batch
"""
_ID_FIRST = "    # The id before the bytes: a job whose id is lost was never given data"
_THROW_AWAY = """    bulk.abort_job(load_api.ground.org, job_id)
    return ledger.discard_job(load_api.ground.warehouse, batch, "Aborted")
"""
_ASK = """    job = bulk.job_status(org, _job_id(batch))
    if job is None:
"""
_CREATE = """    job = bulk.create_job(
        org,
        operation=batch.operation,
        sobject=batch.sobject,
        assignment_rule_id=batch.assignment_rule_id,
    )
"""
_LIBRARY = """    if batch.operation == "insert":
        from simple_salesforce.bulk2 import Operation

        told = org._sf.bulk2.Lead._upload_data(Operation.insert, data.decode(), wait=0.01)
        job = bulk.job_status(org, told["job_id"])
        batch = ledger.record_job(store, batch, job.job_id, payload_sha256="", payload_bytes=0)
        return ledger.record_submitted(store, batch)
"""

MANY = Kind("sqlite", has_field=False, people="many")
SLOW_JOBS = Kind(
    "sqlite", has_field=False, people="many", org="[behaviour]\nrows_per_second = 400\n"
)

PLANTS = [
    Plant(
        "the job's id is stored after the close",
        (
            Change(DELIVERY, _CLOSE, "    return batch\n"),
            Change(DELIVERY, _UPLOAD, ""),
            Change(
                DELIVERY, _ID_FIRST, f"{_UPLOAD}    bulk.close_job(org, job.job_id)\n{_ID_FIRST}"
            ),
        ),
        (Trial("killed", CLOSE, "after"),),
    ),
    Plant(
        "the intent to close is stored after the close",
        (
            Change(DELIVERY, _CLOSE, "    return batch\n"),
            Change(DELIVERY, _INTENT, f"    bulk.close_job(org, job.job_id)\n{_INTENT}"),
        ),
        (Trial("killed", CLOSE, "after"),),
    ),
    Plant(
        "recovery aborts running jobs",
        (
            Change(
                DELIVERY,
                '    if job.state == "Open":\n        return _close_again(load_api, batch)\n',
                "    if batch.fencing_token > 1 and batch.attempt_count == 1 and not job.has_ended:\n"
                "        return _throw_away_job(load_api, batch)\n",
            ),
        ),
        (Trial("killed", POLL, "after", SLOW_JOBS),),
    ),
    Plant(
        "recovery forgets the job",
        (
            Change(
                DELIVERY,
                _ASK,
                "    if batch.fencing_token > 1 and batch.attempt_count == 1:\n"
                '        return ledger.discard_job(store, batch, "Aborted")\n' + _ASK,
            ),
        ),
        (Trial("killed", POLL, "before"),),
    ),
    Plant(
        "no fencing_token is compared",
        _IGNORED,
        (Trial("frozen", RESULTS), Trial("frozen", CREATE, "after")),
    ),
    Plant(
        "what a take-over changes is no fencing_token: a batch moves from its state alone",
        tuple(
            Change(
                change.file,
                "    and fencing_token = :fencing_token\n    and leased_by_run_id = :leased_by_run_id\n",
                "    and cast(:fencing_token as integer) is not null\n"
                "    and cast(:leased_by_run_id as text) is not null\n",
            )
            for change in _IGNORED
        ),
        (Trial("raced", PUT, "after"),),
    ),
    Plant(
        "recovery uploads a second time into the same job",
        (
            Change(
                DELIVERY,
                _THROW_AWAY,
                "    batch, payload = rebuild_payload(load_api.ground, batch)\n"
                "    bulk.upload(load_api.ground.org, job_id, payloads.encode_csv(payload.records))\n"
                "    batch = ledger.record_submitted(load_api.ground.warehouse, batch)\n"
                "    bulk.close_job(load_api.ground.org, job_id)\n"
                "    return batch\n",
            ),
        ),
        (Trial("killed", PUT, "after"),),
    ),
    Plant(
        "recovery closes a job whose upload nobody knows of",
        (
            Change(
                DELIVERY,
                _THROW_AWAY,
                "    batch = ledger.record_submitted(load_api.ground.warehouse, batch)\n"
                "    bulk.close_job(load_api.ground.org, job_id)\n"
                "    return batch\n",
            ),
        ),
        (Trial("killed", PUT, "before"),),
    ),
    Plant(
        "claims and batches are two transactions",
        (
            Change(
                JUDGEMENTS,
                "        until = lease_end(warehouse, connection, lease_seconds)\n",
                "    with warehouse.transaction() as connection:\n"
                "        until = lease_end(warehouse, connection, lease_seconds)\n",
            ),
        ),
        (Trial("killed", "COMMIT insert lead_batches, update sync_runs", "before"),),
    ),
    Plant(
        "outcomes and the batch's state are two transactions",
        (
            Change(
                BATCHES,
                "        if after.person_count:\n            after = _move(",
                "    with warehouse.transaction() as connection:\n"
                "        if after.person_count:\n            after = _move(",
            ),
        ),
        (Trial("killed", "COMMIT update lead_batches settled, update sync_runs", "before"),),
    ),
    Plant(
        "result rows are matched by position",
        (
            Change(
                SETTLING,
                'rows.assign(person_id=case.claims["person_id"].take(places).array)',
                'rows.assign(person_id=case.claims["person_id"].array[: len(rows)])',
            ),
        ),
        (Trial("undisturbed"),),
    ),
    Plant(
        "the file of unprocessed rows is not read",
        (
            Change(
                SETTLING,
                '            pd.DataFrame({"file": "left", '
                '"key": _row_keys(case, results.unprocessed)}),\n',
                "",
            ),
        ),
        (Trial("failed half way", kind=MANY),),
    ),
    Plant(
        "the job's counts are not compared",
        (Change(SETTLING, "        if _adds_up(case, answers, job):\n", "        if True:\n"),),
        (Trial("a row missing once", RESULTS),),
    ),
    Plant(
        "leases end by the local clock",
        (
            Change(
                BATCHES,
                "return warehouse.now(connection) + timedelta",
                "return datetime.now() + timedelta",
            ),
        ),
        (Trial("beside another", POLL),),
    ),
    Plant(
        "a POST is sent again when its answer is lost",
        (Change(TRANSPORT, 'if request.method == "GET"', 'if request.method in ("GET", "POST")'),),
        (Trial("dropped after", "POST /composite/sobjects"),),
    ),
    Plant(
        "the library's own call instead of the ledger's steps",
        (Change(DELIVERY, _CREATE, _LIBRARY + _CREATE),),
        (Trial("killed", CLOSE, "after"),),
    ),
    Plant(
        "whom another run has claimed is sent all the same",
        (
            Change(
                JUDGING,
                "payload = payload.filter_rows(~payload.person_ids.isin(gone))",
                "pass",
            ),
        ),
        (Trial("now meanwhile", "GET /queryAll Lead", "after"),),
    ),
]
