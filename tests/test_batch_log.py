"""What a run's log tells of a batch: its number, its job, and a job that does not end."""

from __future__ import annotations

from datetime import datetime

import pytest

from pipelines.salesforce.ingest_jobs import JobInfo
from pipelines.steps.batch_log import BatchLog, BatchNames
from pipelines.warehouse.ledger.batches import Batch

NOW = datetime(2026, 11, 30)  # noqa: DTZ001 - naive UTC, as the ledger has it


class ByHand:
    """A clock that a test moves."""

    now = 5000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float, /) -> None:
        self.now += seconds


def batch(batch_id: str, **changes: object) -> Batch:
    values: dict[str, object] = dict.fromkeys(Batch.__dataclass_fields__)
    values |= {"batch_id": batch_id, "operation": "insert", "sobject": "Lead", "fencing_token": 1}
    values |= {"person_count": 1000, "batch_state": "submitted"}
    return Batch(**{**values, **changes})  # type: ignore[arg-type]


def job(state: str, processed_count: int = 0) -> JobInfo:
    return JobInfo("750A", state, processed_count, 0, None, NOW, "insert", "Lead", "005A")


@pytest.fixture
def clock() -> ByHand:
    return ByHand()


@pytest.fixture
def lines(clock: ByHand, caplog: pytest.LogCaptureFixture) -> BatchLog:
    caplog.set_level("INFO", logger="pipelines")
    names = BatchNames()
    for batch_id in ("A", "B", "C"):
        names.add(batch_id)
    return BatchLog(names, clock)


def test_a_batch_is_told_by_its_number_with_the_time_in_the_queue(
    lines: BatchLog, clock: ByHand, caplog: pytest.LogCaptureFixture
) -> None:
    one = batch("B")
    lines.sent(one, 1000, 250_000)
    for state in ("UploadComplete", "InProgress", "JobComplete"):
        clock.sleep(6)
        lines.seen(one, job(state))
    lines.ended(one, batch("B", batch_state="completed"))
    assert caplog.messages == [
        "batch 2 of 3: 1,000 leads sent, 250 kB",
        "batch 2 of 3: 1,000 leads done, 12 s in Salesforce's queue and 6 s after it",
    ]


def test_a_batch_of_another_run_is_told_as_such(
    lines: BatchLog, caplog: pytest.LogCaptureFixture
) -> None:
    lines.ended(batch("A"), None)
    lines.ended(batch("C"), batch("C", fencing_token=2))
    assert caplog.messages == [
        "batch 1 of 3: taken over by another run",
        "batch 3 of 3: taken over by another run",
    ]


def test_a_job_that_does_not_end_is_told_every_hour(
    lines: BatchLog, clock: ByHand, caplog: pytest.LogCaptureFixture
) -> None:
    one = batch("A")
    lines.sent(one, 1000, 10)
    caplog.clear()
    for _ in range(130):
        clock.sleep(60)
        lines.seen(one, job("InProgress", 400))
    assert [line.split(";")[0] for line in caplog.messages] == [
        "batch 1 of 3: Salesforce has had job 750A for 1 h and it is InProgress",
        "batch 1 of 3: Salesforce has had job 750A for 2 h and it is InProgress",
    ]


def test_what_is_waited_for_is_the_oldest_batch_with_its_job(lines: BatchLog) -> None:
    first, second = batch("A"), batch("B")
    lines.sent(first, 1000, 10)
    lines.seen(first, job("InProgress", 400))
    assert lines.waiting([first, second]) == (
        "waiting for Salesforce: batch 1 of 3 (InProgress, 400 of 1,000) and 1 more"
    )
    assert lines.waiting([]) == "waiting for Salesforce"


def test_an_update_is_told_as_one(lines: BatchLog, caplog: pytest.LogCaptureFixture) -> None:
    lines.sent(batch("A", operation="update", sobject="Contact"), 1, 2_500_000)
    assert caplog.messages == ["batch 1 of 3: 1 contact to update sent, 2.5 MB"]
