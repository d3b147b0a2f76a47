"""What a run does besides the steps of its batches: log in, take over, partition, and advance.

They are `take_over_stale_batches`, the steps up to `partition_slice`, and `advance_batches` of the
code, simplified.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from tests.crash.model import ledger_model
from tests.crash.model.errors import (
    LeaseLostError,
    LedgerInconsistentError,
    OrgMismatchError,
    OrgRejectedError,
    OrgUnavailableError,
    WarehouseUnavailableError,
)
from tests.crash.model.ledger_model import Batch, Claim, Outcome
from tests.crash.model.ops import (
    Call,
    Choose,
    Commit,
    Ended,
    ListOpenBatches,
    Memory,
    Op,
    Read,
    Run,
    Unit,
)
from tests.crash.model.protocol import STEPS, Protocol, UnitFunction


def begin(protocol: Protocol, run: Run) -> Unit:
    """Log in, and check that the ledger belongs to this org."""
    act = ledger_model.bind if protocol.is_org_compared else _bind_anything
    try:
        yield Commit("", lambda ledger: act(ledger, run.org_id))
    except (OrgMismatchError, WarehouseUnavailableError):
        return stopped(run)
    return Ended(run._replace(units_left=run.units_left[1:]), "begun")


def _bind_anything(ledger: ledger_model.Ledger, org_id: str) -> tuple[ledger_model.Ledger, None]:
    return ledger._replace(org_id=ledger.org_id or org_id), None


def take_over(protocol: Protocol, run: Run) -> Unit:
    """Take over the stale batches: their run has ended, or their lease is over."""
    abandoned, leased = yield ListOpenBatches(run.name)
    lease = "is not over"
    if leased:
        lease = yield Choose("the lease of the other", ("is not over", "is over"))
    found = abandoned if lease == "is not over" else tuple(sorted((*abandoned, *leased)))
    taken: tuple[Batch, ...] = ()
    if found:
        try:
            taken = yield Commit("", lambda ledger: ledger_model.take_over(ledger, run.name, found))
        except WarehouseUnavailableError:
            return stopped(run)
    after = run._replace(units_left=run.units_left[1:], batches=run.batches + taken)
    return Ended(after, "taken over")


def partition(protocol: Protocol, run: Run) -> Unit:
    """Read the new persons, match them by the person-id field, claim the others in one batch."""
    new, versions = yield Read(
        lambda world: (ledger_model.new_persons(world.ledger, run.persons), world.versions)
    )
    after = run._replace(units_left=run.units_left[1:])
    if not new:
        return Ended(after, "partitioned")
    try:
        known = (yield Call("find_leads", (new,))) if protocol.has_field else ()
        batch = yield from record_slice(run, new, dict(versions), dict(known))
    except (OrgUnavailableError, WarehouseUnavailableError):
        return stopped(run)
    if batch is None:
        return Ended(after, "partitioned")
    rows = yield Read(lambda world: ledger_model.claimed_by(world.ledger, batch.batch_id))
    memory = Memory(after)
    memory.payloads[batch.batch_id] = rows
    return Ended(memory.run_with(batches=(*after.batches, batch)), "partitioned")


def record_slice(
    run: Run, new: tuple[str, ...], versions: dict[str, int], known: dict[str, str]
) -> Generator[Op, Any, Batch | None]:
    """Record claims, duplicates and batch in one transaction (T1)."""
    batch, claims, duplicates = prepare_batch(run, new, versions, known)
    act = ledger_model.record_slice
    recorded: Batch | None = yield Commit("", lambda ledger: act(ledger, batch, claims, duplicates))
    return recorded


def prepare_batch(
    run: Run, new: tuple[str, ...], versions: dict[str, int], known: dict[str, str]
) -> tuple[Batch, tuple[Claim, ...], tuple[Outcome, ...]]:
    """Return the batch, the claims of the persons to send, and the duplicates."""
    # The versions make the id unique if one run prepares two batches.
    batch_id = f"B-{run.name}-{sum(versions.values())}"
    batch = Batch(batch_id, "pending", run.load_api, run.operation, leased_by=run.name)
    leads = {} if run.operation == "update" else known
    sent = [one for one in new if one not in leads]
    claims = tuple(Claim(person, batch_id, versions[person]) for person in sent)
    return batch, claims, tuple(Outcome(one, "duplicate", leads[one]) for one in leads)


def advance(protocol: Protocol, run: Run) -> Unit:
    """Take one step of the current batch, and handle its errors as `advance_batches` does."""
    batch, memory = run.batches[run.batch_index], Memory(run)
    try:
        after = yield from protocol.steps[batch.load_api, batch.batch_state](
            protocol, memory, batch
        )
        result = "busy" if after == batch else after.batch_state
    except LeaseLostError:
        after, result = None, "LeaseLostError"
    except (OrgUnavailableError, WarehouseUnavailableError) as error:
        after = yield Read(lambda world: ledger_model.find(world.ledger, batch.batch_id))
        result = type(error).__name__
    except (OrgRejectedError, LedgerInconsistentError) as error:
        after = yield Read(lambda world: ledger_model.find(world.ledger, batch.batch_id))
        result = type(error).__name__
        if (
            protocol.is_rejection_checked
            and after is not None
            and after.fencing_token != batch.fencing_token
        ):
            return after_step(memory, batch, after, result)
        return stopped(run, result)._replace(is_permanent_error=True)
    return after_step(memory, batch, after, result)


def after_step(memory: Memory, batch: Batch, after: Batch | None, result: str) -> Ended:
    """Drop a batch that is completed or lost. Go on with any other, at once or after a sleep."""
    run = memory.run
    before, behind = run.batches[: run.batch_index], run.batches[run.batch_index + 1 :]
    if (
        after is None
        or after.batch_state == "completed"
        or after.fencing_token != batch.fencing_token
    ):
        memory.forget_batch(batch.batch_id)
        batches, index = before + behind, run.batch_index
    else:
        has_advanced = result in ledger_model.STATES
        batches = (*before, after, *behind)
        index = run.batch_index if has_advanced else run.batch_index + 1
    is_last = index == len(batches)
    after_run = memory.run_with(batches=batches, batch_index=0 if is_last else index)
    return Ended(after_run, result, is_last and bool(batches))


def stopped(run: Run, result: str = "stopped") -> Ended:
    """End the run with an error. Its batches stay open in the ledger."""
    return Ended(run._replace(units_left=(), batches=()), result)


UNITS: Mapping[str, UnitFunction] = {
    "begin": begin,
    "take_over": take_over,
    "partition": partition,
    "advance": advance,
}
MODES: Mapping[str, tuple[str, ...]] = {
    "nightly": ("begin", "take_over", "partition"),
    "resume": ("begin", "take_over"),
    "now": ("begin", "partition"),
}


def real_protocol(has_field: bool) -> Protocol:
    """Return the protocol of the code."""
    return Protocol(has_field, STEPS, UNITS)
