"""Mutants: bugs made on purpose: a harness that lets one pass has no teeth.

Each is a named change of text in a copy of the project's code, which must be found exactly once, so
that a plant cannot rot unnoticed. Each names the smallest set of trials that must catch it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.crash.directed import ROOT
from tests.crash.variants import Variant

LOAD = "pipelines/steps/load.py"
RESULTS_OF_JOB = "pipelines/steps/job_results.py"
SESSION = "pipelines/salesforce/session.py"
TRANSPORT = "pipelines/salesforce/transport.py"
BATCHES = "pipelines/warehouse/ledger/batches.py"
BATCH_RESULTS = "pipelines/warehouse/ledger/batch_results.py"
CLAIMS = "pipelines/warehouse/ledger/claims.py"
PARTITION = "pipelines/steps/partition.py"
MATCH = "pipelines/steps/match.py"

ALONE = Variant("sqlite", has_field=False)  # the ledger stands alone: nothing hides its bugs
CREATE, PUT, CLOSE, POLL = (
    f"{method} /jobs/ingest{path}"
    for method, path in (("POST", ""), ("PUT", "/*/batches"), ("PATCH", "/*"), ("GET", "/*"))
)
RESULTS = "GET /jobs/ingest/*/successfulResults/"


@dataclass(frozen=True)
class Change:
    """A text of a file that occurs in it so many times, and what replaces it."""

    file: str
    old: str
    new: str
    times: int = 1


@dataclass(frozen=True)
class Trial:
    """A technique on a variant at a place: the first of its kind, on that side."""

    technique: str
    place: str = ""
    side: str = "before"
    variant: Variant = ALONE

    def __str__(self) -> str:
        where = f" {self.side} {self.place}" if self.place else ""
        return f"{self.technique}{where} ({self.variant})"


@dataclass(frozen=True)
class Mutant:
    """A bug, and the trials of which one at least must catch it."""

    name: str
    changes: tuple[Change, ...]
    trials: tuple[Trial, ...]


def changed_texts(changes: tuple[Change, ...]) -> dict[str, str]:
    """Return each changed file's text, by path. Raise LookupError if a text is missing."""
    texts: dict[str, str] = {}
    for change in changes:
        text = texts.get(change.file) or (ROOT / change.file).read_text(encoding="utf-8")
        found = text.count(change.old)
        if found != change.times:
            raise LookupError(
                f"found {found} times in {change.file}, not {change.times}: {change.old!r}"
            )
        texts[change.file] = text.replace(change.old, change.new)
    return texts


def copy_with(changes: tuple[Change, ...], folder: Path) -> Path:
    """Copy the project's code with these changes into the folder. Raise LookupError as above."""
    for part in ("pipelines", "sql"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file, text in changed_texts(changes).items():
        (folder / file).write_text(text, encoding="utf-8")
    return folder


# No bug: two minutes are more than a test can wait for an answer that never comes.
IMPATIENT = (Change(SESSION, "timeout: Timeout = (10.0, 120.0)", "timeout: Timeout = (10.0, 0.5)"),)

# Nor this: nobody is looked up, so that with an emptied ledger the person-id field stands alone.
BLIND = (
    Change(MATCH, "emails=list(emails.dropna()),", "emails=[],"),
    Change(MATCH, "person_ids=list(person_ids) if self._field else [],", "person_ids=[],"),
)

STATEMENTS = "sql/queries/batches.sql"
# renew_lease, start_upload, submit_batch, return_batch, add_batch_counts, complete_batch
FENCED = 6
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
_IGNORED = (Change(STATEMENTS, _FENCE, _NO_FENCE, FENCED),)
_UPLOAD = "    ingest_jobs.upload(run.org, job.job_id, data)\n"
# As it reads once closing is taken away; a collections call records the same intent.
_INTENT = "    batch = ledger.record_submitted(run.warehouse, batch)\n    return batch\n"
_CLOSE = """    ingest_jobs.close_job(run.org, job.job_id)
    return batch
"""
_ID_FIRST = "    # The id is recorded before any byte is uploaded"
_DISCARD = """    ingest_jobs.abort_job(run.org, _job_id(batch))
    return ledger.discard_job(run.warehouse, batch, "Aborted")
"""
_ASK = """    job = ingest_jobs.job_status(run.org, _job_id(batch))
    if job is None:
"""
_CREATE = """    job = ingest_jobs.create_job(
        run.org,
        operation=batch.operation,
        sobject=batch.sobject,
        assignment_rule_id=batch.assignment_rule_id,
    )
"""
_LIBRARY = """    if batch.operation == "insert":
        from simple_salesforce.bulk2 import Operation

        told = run.org._sf.bulk2.Lead._upload_data(Operation.insert, data.decode(), wait=0.01)
        job = ingest_jobs.job_status(run.org, told["job_id"])
        given = {"payload_sha256": "", "payload_bytes": 0}
        batch = ledger.record_job(run.warehouse, batch, job.job_id, **given)
        return ledger.record_submitted(run.warehouse, batch)
"""

MANY = Variant("sqlite", has_field=False, people="many")
SLOW_JOBS = Variant(
    "sqlite", has_field=False, people="many", org="[behaviour]\nrows_per_second = 400\n"
)

MUTANTS = [
    Mutant(
        "the job's id is stored after the close",
        (
            Change(LOAD, _CLOSE, "    return batch\n"),
            Change(LOAD, _UPLOAD, ""),
            Change(
                LOAD,
                _ID_FIRST,
                f"{_UPLOAD}    ingest_jobs.close_job(run.org, job.job_id)\n{_ID_FIRST}",
            ),
        ),
        (Trial("killed", CLOSE, "after"),),
    ),
    Mutant(
        "the intent to close is stored after the close",
        (
            Change(LOAD, _CLOSE, "    return batch\n"),
            Change(LOAD, _INTENT, f"    ingest_jobs.close_job(run.org, job.job_id)\n{_INTENT}"),
        ),
        (Trial("killed", CLOSE, "after"),),
    ),
    Mutant(
        "recovery aborts running jobs",
        (
            Change(
                LOAD,
                '    if job.state == "Open":\n        return _close_job_again(run, batch)\n',
                "    is_first = batch.attempt_count == 1\n"
                "    if batch.fencing_token > 1 and is_first and not job.has_ended:\n"
                "        return _discard_job(run, batch)\n",
            ),
        ),
        (Trial("killed", POLL, "after", SLOW_JOBS),),
    ),
    Mutant(
        "recovery forgets the job",
        (
            Change(
                LOAD,
                _ASK,
                "    if batch.fencing_token > 1 and batch.attempt_count == 1:\n"
                '        return ledger.discard_job(run.warehouse, batch, "Aborted")\n' + _ASK,
            ),
        ),
        (Trial("killed", POLL, "before"),),
    ),
    Mutant(
        "no fencing_token is compared",
        _IGNORED,
        (Trial("frozen", RESULTS), Trial("frozen", CREATE, "after")),
    ),
    Mutant(
        "what a take-over changes is no fencing_token: a batch moves from its state alone",
        (
            Change(
                STATEMENTS,
                "    and fencing_token = :fencing_token\n"
                "    and leased_by_run_id = :leased_by_run_id\n",
                "    and cast(:fencing_token as integer) is not null\n"
                "    and cast(:leased_by_run_id as text) is not null\n",
                FENCED,
            ),
        ),
        (Trial("raced", PUT, "after"),),
    ),
    Mutant(
        "recovery uploads a second time into the same job",
        (
            Change(
                LOAD,
                _DISCARD,
                "    batch, payload = rebuild_payload(run, batch)\n"
                "    data = encoding.encode_csv(payload.records)\n"
                "    ingest_jobs.upload(run.org, _job_id(batch), data)\n"
                "    batch = ledger.record_submitted(run.warehouse, batch)\n"
                "    ingest_jobs.close_job(run.org, _job_id(batch))\n"
                "    return batch\n",
            ),
        ),
        (Trial("killed", PUT, "after"),),
    ),
    Mutant(
        "recovery closes a job whose upload nobody knows of",
        (
            Change(
                LOAD,
                _DISCARD,
                "    batch = ledger.record_submitted(run.warehouse, batch)\n"
                "    ingest_jobs.close_job(run.org, _job_id(batch))\n"
                "    return batch\n",
            ),
        ),
        (Trial("killed", PUT, "before"),),
    ),
    Mutant(
        "claims and batches are two transactions",
        (
            Change(
                CLAIMS,
                "        until = lease_end(warehouse, connection, lease_seconds)\n",
                "    with warehouse.transaction() as connection:\n"
                "        until = lease_end(warehouse, connection, lease_seconds)\n",
            ),
        ),
        (Trial("killed", "COMMIT insert lead_batches, update sync_runs", "before"),),
    ),
    Mutant(
        "outcomes and the batch's state are two transactions",
        (
            Change(
                BATCH_RESULTS,
                "        if after.person_count:\n            after = move(",
                "    with warehouse.transaction() as connection:\n"
                "        if after.person_count:\n            after = move(",
            ),
        ),
        (Trial("killed", "COMMIT update lead_batches completed, update sync_runs", "before"),),
    ),
    Mutant(
        "result rows are matched by position",
        (
            Change(
                RESULTS_OF_JOB,
                'rows.assign(person_id=reconciled.claims["person_id"].take(places).array)',
                'rows.assign(person_id=reconciled.claims["person_id"].array[: len(rows)])',
            ),
        ),
        (Trial("undisturbed"),),
    ),
    Mutant(
        "the file of unprocessed rows is not read",
        (
            Change(
                RESULTS_OF_JOB,
                "            pd.DataFrame(\n"
                '                {"result": "unprocessed", '
                '"key": _row_keys(reconciled, files.unprocessed)}\n'
                "            ),\n",
                "",
            ),
        ),
        (Trial("failed half way", variant=MANY),),
    ),
    Mutant(
        "the job's counts are not compared",
        (
            Change(
                RESULTS_OF_JOB,
                "        if _adds_up(reconciled, results, job):\n",
                "        if True:\n",
            ),
        ),
        (Trial("a row missing once", RESULTS),),
    ),
    Mutant(
        "leases end by the local clock",
        (
            Change(
                BATCHES,
                "return warehouse.now(connection) + timedelta",
                "return datetime.now() + timedelta",
            ),
        ),
        (Trial("another run meanwhile", POLL),),
    ),
    Mutant(
        "a POST is sent again when its answer is lost",
        (Change(TRANSPORT, 'if request.method == "GET"', 'if request.method in ("GET", "POST")'),),
        (Trial("dropped after", "POST /composite/sobjects"),),
    ),
    Mutant(
        "the library's own call instead of the ledger's steps",
        (Change(LOAD, _CREATE, _LIBRARY + _CREATE),),
        (Trial("killed", CLOSE, "after"),),
    ),
    Mutant(
        "whom another run has claimed is sent all the same",
        (
            Change(
                PARTITION,
                "payload = payload.filter_rows(~payload.person_ids.isin(not_claimed))",
                "pass",
            ),
        ),
        (Trial("now meanwhile", "GET /queryAll Lead", "after"),),
    ),
]
