"""One step of the real code, as it can be observed: its requests and commits in their order.

Requests are heard by the relay, commits by SQLAlchemy's own events. What a commit did is read from
the ledger inside it, in the words of `seen.py`. Nothing of the code is replaced.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event, exc

from pipelines.warehouse import ledger
from pipelines.warehouse.database import Warehouse
from tests.crash.model.relay import Relay, name_of
from tests.crash.model.seen import Seen, changes
from tests.proxy import Reply, Request, Send

SEEN = """
select
    batch_state, salesforce_job_id, attempt_count, fencing_token,
    (select count(*) from person_claims where batch_id = :id) as claim_count,
    (select count(*) from person_outcomes) as outcome_count,
    (select count(*) from salesforce_jobs where batch_id = :id) as job_count,
    (select count(*) from salesforce_jobs where batch_id = :id and end_state is not null)
        as ended_job_count
from lead_batches where batch_id = :id
"""
STATES = {"aborted": "Aborted", "robbed": "Aborted", "closed": "UploadComplete"}
TAKE = """
update lead_batches set fencing_token = fencing_token + 1, leased_by_run_id = 'another'
where batch_id = ?
"""
OTHERS = {
    "taken": (TAKE,),
    "completed": (
        TAKE,
        "delete from person_claims where batch_id = ?",
        "update lead_batches set batch_state = 'completed' where batch_id = ?",
    ),
}


class Recorder:
    """Writes down the events of one step; `plan` says which of them, by place, is disturbed how."""

    def __init__(self, warehouse: Warehouse, relay: Relay, batch: ledger.Batch) -> None:
        self.events: list[str] = []
        self.plan: dict[int, str] = {}
        self._warehouse, self._relay, self._batch = warehouse, relay, batch
        with warehouse.reading() as connection:
            self._before = self._look(connection)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """From now on."""
        engine = self._warehouse.engine
        passing, self._relay.hook = self._relay.hook, self._hear
        event.listen(engine, "commit", self._on_commit)
        self._be_robbed()
        try:
            yield
        finally:
            self._relay.hook = passing
            event.remove(engine, "commit", self._on_commit)

    # --- Commits

    def _on_commit(self, connection: Connection) -> None:
        after = self._look(connection)
        words, self._before = changes(self._before, after), after
        plan = self.plan.get(len(self.events))
        if plan not in ("lost", "failed"):
            self.events.append(words)
            return
        self.events.append(f"{words}: unanswered")
        if plan == "lost":
            connection.exec_driver_sql("commit")
        raise exc.OperationalError("commit", None, ConnectionError("gone"))

    def _look(self, connection: Connection) -> Seen:
        # By the driver: a look must not be a statement that the engine's listeners count.
        named = {"id": self._batch.batch_id}
        row = connection.exec_driver_sql(SEEN, named).mappings().one()
        return Seen(**row)

    # --- Requests

    def _hear(self, request: Request, send: Send) -> Reply | None:
        place = len(self.events)
        name = name_of(request)
        self.events.append(str(name))
        reply = disturbed(self.plan.get(place, ""), request, send, self._other)
        kind = "lost" if reply is None or reply.status == 299 else _kind(reply)
        self.events[place] = f"{name}: {kind}"
        self._be_robbed()
        return reply

    def _be_robbed(self) -> None:
        """What other runs do to the batch before the next event."""
        other = OTHERS.get(self.plan.get(len(self.events), ""), ())
        write(self._warehouse.engine, self._batch.batch_id, *other)

    def _other(self, request: Request, what: str) -> None:
        """Somebody else closes or aborts the job that the request is about, an admin or the run
        that has taken the batch over."""
        address = self._relay.upstream + request.path.removesuffix("/batches")
        token = {"Authorization": request.headers["Authorization"]}
        self._relay.change_state(address, token, STATES[what])
        if what == "robbed":
            write(self._warehouse.engine, self._batch.batch_id, TAKE)


def _kind(reply: Reply) -> str:
    return "ok" if reply.status < 300 else "refused"


def write(engine: Engine, batch_id: str, *statements: str) -> None:
    """What another run commits about the batch."""
    raw = engine.raw_connection()
    try:
        for statement in statements:
            raw.cursor().execute(statement, (batch_id,))
        raw.commit()
    finally:
        raw.close()


def disturbed(what: str, request: Request, send: Send, other: Any) -> Reply | None:
    """The reply to a request that meets this disturbance."""
    if what == "failed":
        return None
    if what in STATES:
        other(request, what)
    if what == "repeated":
        send(request)
    reply = _send_but_one(request, send) if what == "locked" else send(request)
    if what == "cut":
        reply.body = b"".join(reply.body.splitlines(keepends=True)[:-1])
    if what == "miscounted":
        told = json.loads(reply.body)
        reply.body = json.dumps(told | {"numberRecordsProcessed": 0}).encode()
    if what == "lost":
        return _lose(request, reply)
    return reply


def _lose(request: Request, reply: Reply) -> Reply | None:
    if request.method != "GET":
        return None
    # A GET is tried four times, with pauses: an answer that cannot be read is lost at once.
    reply.status, reply.body = 299, b'a,b\n"'
    return reply


def _send_but_one(request: Request, send: Send) -> Reply:
    """The first record meets a lock; the others are saved."""
    whole = json.loads(request.body)
    _, *others = whole["records"]
    request.body = json.dumps({**whole, "records": others}).encode()
    request.headers["Content-Length"] = str(len(request.body))
    reply = send(request) if others else Reply(200, b"[]", {"Content-Type": "application/json"})
    locked = {"statusCode": "UNABLE_TO_LOCK_ROW", "message": "locked", "fields": []}
    said = [{"success": False, "errors": [locked]}, *json.loads(reply.body)]
    reply.body = json.dumps(said).encode()
    return reply
