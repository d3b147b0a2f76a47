"""Numbers 45 and 47: jobs and rows that fail through no fault of theirs, by injection."""

from __future__ import annotations

import pytest

from tests.emulator.plain_http import Client

HEADER = "LastName,Company\n"
LOCKED = "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record or 1 records: "


@pytest.mark.parametrize("chunks", [0, 1, 2, 3])
def test_45_a_job_may_fail_half_way_and_lose_no_row(org: Client, chunks: int) -> None:
    org.faults({"job": "nth:1", "fault": f"fail_after_chunk:{chunks}"})
    sent = [f"n{n}" for n in range(700)]
    rows = "".join(f"{n},{'C' if i % 10 else ''}\n" for i, n in enumerate(sent))
    loaded = org.load(HEADER + rows)
    assert loaded.state == "Failed"
    assert loaded.info["errorMessage"].startswith("InternalServerError : ")
    parts = [loaded.successful, loaded.failed, loaded.unprocessed]
    done = 200 * chunks
    assert [len(part) for part in parts] == [done * 9 // 10, done // 10, 700 - done]
    assert sorted(row["LastName"] for part in parts for row in part) == sorted(sent)
    # What was saved stays saved.
    assert len(org.rows("SELECT Id FROM Lead")) == len(loaded.successful)
    assert loaded.info["numberRecordsProcessed"] == done
    assert loaded.info["numberRecordsFailed"] == done // 10


def test_45_only_the_job_that_was_named_fails(org: Client) -> None:
    org.faults({"job": "nth:2", "fault": "fail_after_chunk:0"})
    states = [org.load(HEADER + "L,C\n").state for _ in range(3)]
    assert states == ["JobComplete", "Failed", "JobComplete"]


def test_47_some_rows_may_find_their_record_locked(org: Client) -> None:
    org.faults({"job": "nth:1", "fault": "lock_rows:3"})
    loaded = org.load(HEADER + "L,C\n" * 5)
    assert loaded.state == "JobComplete"
    assert (len(loaded.errors), len(loaded.successful)) == (3, 2)
    assert all(e.startswith(f"{LOCKED}00D") and e.endswith(":--") for e in loaded.errors)
    assert org.load(HEADER + "L,C\n" * 5).errors == []


def test_47_a_locked_update_names_its_record(org: Client) -> None:
    made = org.lead()
    org.faults({"job": "nth:1", "fault": "lock_rows:1"})
    assert org.load(f"Id,City\n{made},Rome\n", "update").errors == [f"{LOCKED}{made}:--"]
    assert org.leads("City") == [{"City": None}]
