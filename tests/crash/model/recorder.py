"""Record one step of the real code: its requests and commits in their order.

The relay sees the requests, and SQLAlchemy's events show the commits. What a commit does is read
from the ledger inside it, and described by `batch_view.py`. Nothing of the code is replaced.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event, exc

from pipelines.warehouse import ledger
from pipelines.warehouse.database import Warehouse
from tests.crash.model.batch_view import BatchView, describe_changes
from tests.crash.model.relay import Relay, name_of
from tests.proxy import Reply, Request, Send

BATCH_VIEW = """
select
    batch_state, salesforce_job_id, attempt_count, fencing_token,
    (select count(*) from person_claims where batch_id = :id) as claim_count,
    (select count(*) from person_outcomes) as outcome_count,
    (select count(*) from salesforce_jobs where batch_id = :id) as job_count,
    (select count(*) from salesforce_jobs where batch_id = :id and end_state is not null)
        as ended_job_count
from lead_batches where batch_id = :id
"""
STATES = {"aborted": "Aborted", "taken_aborted": "Aborted", "closed": "UploadComplete"}
TAKE = """
update lead_batches set fencing_token = fencing_token + 1, leased_by_run_id = 'another'
where batch_id = ?
"""
OTHER_RUNS = {
    "taken": (TAKE,),
    "completed": (
        TAKE,
        "delete from person_claims where batch_id = ?",
        "update lead_batches set batch_state = 'completed' where batch_id = ?",
    ),
}


class Recorder:
    """Records the events of one step. `plan` has the disturbance of an event, by its index."""

    def __init__(self, warehouse: Warehouse, relay: Relay, batch: ledger.Batch) -> None:
        self.events: list[str] = []
        self.plan: dict[int, str] = {}
        self._warehouse, self._relay, self._batch = warehouse, relay, batch
        with warehouse.reading() as connection:
            self._before = self._view(connection)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record the events of the block."""
        engine = self._warehouse.engine
        previous, self._relay.hook = self._relay.hook, self._on_request
        event.listen(engine, "commit", self._on_commit)
        self._apply_other_run()
        try:
            yield
        finally:
            self._relay.hook = previous
            event.remove(engine, "commit", self._on_commit)

    # --- Commits

    def _on_commit(self, connection: Connection) -> None:
        after = self._view(connection)
        change, self._before = describe_changes(self._before, after), after
        plan = self.plan.get(len(self.events))
        if plan not in ("lost", "failed"):
            self.events.append(change)
            return
        self.events.append(f"{change}: no response")
        if plan == "lost":
            connection.exec_driver_sql("commit")
        raise exc.OperationalError("commit", None, ConnectionError("gone"))

    def _view(self, connection: Connection) -> BatchView:
        # By the driver, so that the engine's listeners do not count the statement.
        parameters = {"id": self._batch.batch_id}
        row = connection.exec_driver_sql(BATCH_VIEW, parameters).mappings().one()
        return BatchView(**row)

    # --- Requests

    def _on_request(self, request: Request, send: Send) -> Reply | None:
        index = len(self.events)
        name = name_of(request)
        self.events.append(str(name))
        reply = send_disturbed(self.plan.get(index, ""), request, send, self._change_job)
        kind = "lost" if reply is None or reply.status == 299 else _kind(reply)
        self.events[index] = f"{name}: {kind}"
        self._apply_other_run()
        return reply

    def _apply_other_run(self) -> None:
        """Write what another run does with the batch before the next event."""
        statements = OTHER_RUNS.get(self.plan.get(len(self.events), ""), ())
        write(self._warehouse.engine, self._batch.batch_id, *statements)

    def _change_job(self, request: Request, what: str) -> None:
        """Close or abort the request's job, as an admin or a run that has the batch now."""
        address = self._relay.upstream + request.path.removesuffix("/batches")
        token = {"Authorization": request.headers["Authorization"]}
        self._relay.change_state(address, token, STATES[what])
        if what == "taken_aborted":
            write(self._warehouse.engine, self._batch.batch_id, TAKE)


def _kind(reply: Reply) -> str:
    return "ok" if reply.status < 300 else "rejected"


def write(engine: Engine, batch_id: str, *statements: str) -> None:
    """Commit statements about the batch, as another run does."""
    raw = engine.raw_connection()
    try:
        for statement in statements:
            raw.cursor().execute(statement, (batch_id,))
        raw.commit()
    finally:
        raw.close()


def send_disturbed(what: str, request: Request, send: Send, change_job: Any) -> Reply | None:
    """Send a request with this disturbance; return what the sender gets."""
    if what == "failed":
        return None
    if what in STATES:
        change_job(request, what)
    if what == "repeated":
        send(request)
    reply = _send_all_but_first(request, send) if what == "locked" else send(request)
    if what == "cut":
        reply.body = b"".join(reply.body.splitlines(keepends=True)[:-1])
    if what == "miscounted":
        job = json.loads(reply.body)
        reply.body = json.dumps(job | {"numberRecordsProcessed": 0}).encode()
    if what == "lost":
        return _lose(request, reply)
    return reply


def _lose(request: Request, reply: Reply) -> Reply | None:
    if request.method != "GET":
        return None
    # A GET without a response is repeated, with pauses. One that cannot be read is lost at once.
    reply.status, reply.body = 299, b'a,b\n"'
    return reply


def _send_all_but_first(request: Request, send: Send) -> Reply:
    """Send all records but the first, and report that one as locked."""
    document = json.loads(request.body)
    _, *others = document["records"]
    request.body = json.dumps({**document, "records": others}).encode()
    request.headers["Content-Length"] = str(len(request.body))
    reply = send(request) if others else Reply(200, b"[]", {"Content-Type": "application/json"})
    locked = {"statusCode": "UNABLE_TO_LOCK_ROW", "message": "locked", "fields": []}
    results = [{"success": False, "errors": [locked]}, *json.loads(reply.body)]
    reply.body = json.dumps(results).encode()
    return reply
