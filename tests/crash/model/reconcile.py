"""How the model turns results into outcomes, as `pipelines/steps/reconcile.py` does."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from tests.crash.model import ledger_model
from tests.crash.model.errors import LedgerInconsistentError
from tests.crash.model.ledger_model import Batch, Outcome
from tests.crash.model.ops import Call, Commit, Memory, Op, Read, Rows, Step
from tests.crash.model.org import KNOWN_BY_FIELD, KNOWN_BY_RULE, LOCKED, Status

if TYPE_CHECKING:
    from tests.crash.model.protocol import Protocol

SUCCESSFUL, UNPROCESSED = "successful", "unprocessed"
# Of each person SUCCESSFUL with the lead, or a code of Salesforce, or UNPROCESSED. A person that is
# missing is unknown.
Results = dict[str, tuple[str, str | None]]


def reconcile_job(protocol: Protocol, memory: Memory, batch: Batch, job: Status) -> Step:
    """Read the three files until they add up, at most `read_times`, and record the outcomes."""
    persons = yield from claimed_persons(batch)
    results: Results = {}
    for _ in range(protocol.read_times):
        successful, failed, unprocessed = yield from read_files(batch.salesforce_job_id)
        results = dict.fromkeys(unprocessed, (UNPROCESSED, None))
        results |= {person: (code, None) for person, code in failed}
        results |= {person: (SUCCESSFUL, lead) for person, lead in successful}
        if results.keys() - set(persons):
            raise LedgerInconsistentError
        counts = (len(successful) + len(failed), len(failed))
        is_complete = len(results) == len(persons) or not protocol.is_unprocessed_counted
        if counts == (job.processed_count, job.failed_count) and is_complete:
            break
        if not protocol.are_counts_compared:
            results = dict.fromkeys(persons, (UNPROCESSED, None)) | results
            break
    return (yield from _record(protocol, batch, persons, results, job.state))


def read_files(job_id: str | None) -> Generator[Op, Any, tuple[Rows, Rows, tuple[str, ...]]]:
    """Read the result files by three requests. The org may go on between them."""
    successful = yield Call("read_successful", (job_id,))
    failed = yield Call("read_failed", (job_id,))
    unprocessed = yield Call("read_unprocessed", (job_id,))
    return successful, failed, unprocessed


def reconcile_collection(protocol: Protocol, memory: Memory, batch: Batch, rows: Rows) -> Step:
    """Record the results of one collections call."""
    persons = yield from claimed_persons(batch)
    results: Results = {
        person: (result[1:], None) if result.startswith("!") else (SUCCESSFUL, result)
        for person, result in rows
    }
    return (yield from _record(protocol, batch, persons, results, None))


def reconcile_without_job(protocol: Protocol, memory: Memory, batch: Batch) -> Step:
    """Record what the org still knows when there are no results."""
    persons = yield from claimed_persons(batch)
    end_state = "Gone" if batch.load_api == "bulk" else None
    return (yield from _record(protocol, batch, persons, {}, end_state))


def claimed_persons(batch: Batch) -> Generator[Op, Any, tuple[str, ...]]:
    """Read the persons with a claim in the batch."""
    persons: tuple[str, ...] = yield Read(
        lambda world: ledger_model.claimed_by(world.ledger, batch.batch_id)
    )
    return persons


def _record(
    protocol: Protocol,
    batch: Batch,
    persons: tuple[str, ...],
    results: Results,
    end_state: str | None,
) -> Step:
    """Look up the persons without a result, read the owners back, and record all outcomes."""
    found: Rows = ()
    doubtful = tuple(p for p in persons if results.get(p, (KNOWN_BY_FIELD,))[0] == KNOWN_BY_FIELD)
    if protocol.has_field and batch.operation == "insert" and doubtful:
        found = yield Call("find_leads", (doubtful,))
    decided = [outcome_of(protocol, batch, one, results.get(one), dict(found)) for one in persons]
    outcomes = tuple(outcome for outcome in decided if outcome is not None)
    leads = tuple(
        one.lead for one in outcomes if one.outcome in ("created", "updated") and one.lead
    )
    if leads:
        yield Call("read_owners", (leads,))
    return (yield from protocol.record(protocol, batch, outcomes, end_state))


def record_results(
    protocol: Protocol, batch: Batch, outcomes: tuple[Outcome, ...], end_state: str | None
) -> Step:
    """Record outcomes and state in one transaction (T4)."""
    fenced = protocol.is_fenced
    act = ledger_model.record_results
    after: Batch = yield Commit(
        batch.batch_id, lambda ledger: act(ledger, batch, outcomes, end_state, fenced)
    )
    return after


def outcome_of(
    protocol: Protocol,
    batch: Batch,
    person: str,
    result: tuple[str, str | None] | None,
    found: dict[str, str],
) -> Outcome | None:
    """Return what became of a person; None for one who is part of the next attempt."""
    code, lead = result or (None, None)
    is_insert = batch.operation == "insert"
    if code == SUCCESSFUL:
        return Outcome(person, "created" if is_insert else "updated", lead)
    if person in found:
        return Outcome(person, "created", found[person])
    if code == UNPROCESSED and not protocol.are_unprocessed_retried:
        return Outcome(person, "rejected")
    may_repeat = protocol.has_field or not is_insert or not protocol.is_gone_held
    is_transient = code in (UNPROCESSED, LOCKED) or (code is None and may_repeat)
    if is_transient and batch.attempt_count < protocol.max_attempts:
        return None
    if code == KNOWN_BY_RULE:
        return Outcome(person, "duplicate")
    return Outcome(person, "held" if code is None else "rejected")
