"""The mirror of what Salesforce has: it tells what lists of keys would tell, whatever happened to
the org, to another run or to the run before."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.rules import deduplication
from pipelines.run.connections import log_in_to
from pipelines.salesforce import ingest_jobs
from pipelines.salesforce.session import Org
from pipelines.steps.match import Matcher
from pipelines.steps.snapshot import OrgSnapshot, SnapshotOptions
from pipelines.warehouse import snapshots
from pipelines.warehouse.database import Warehouse, open_warehouse
from tests.salesforce.test_ingest_jobs import load
from tests.steps.scenario import Scenario, make_persons
from tests.warehouse.ledger_steps import begin

BULK = {"lookup": "snapshot"}
LEADS = """
[[lead]]
LastName = "Ada"
Company = "Engines"
Email = "Ada@x.example"
Person_Id__c = "P1"
[[lead]]
LastName = "Bo"
Company = "Engines"
Email = "bo@x.example"
[[lead]]
LastName = "Gone"
Company = "Engines"
Email = "gone@x.example"
IsDeleted = true
[[contact]]
LastName = "Chiara"
Email = "ada@x.example"
"""
EMAILS = ["ada@x.example", "bo@x.example", "gone@x.example", "new@x.example", "moved@x.example"]
IDS = ["P1", "p1", "P2", "P1 ", ""]


def text(values: list[Any]) -> pd.Series:
    return pd.Series(values, dtype="str")


class Lookout:
    """Looks at the org of a scenario both ways."""

    def __init__(self, scenario: Scenario, warehouse: Warehouse, org: Org) -> None:
        self.scenario, self.warehouse, self.org = scenario, warehouse, org

    def matcher(self, way: str, run_id: str = "R1", field: str = "Person_Id__c") -> Matcher:
        return Matcher(
            self.warehouse,
            self.org,
            run_id,
            person_id_field=field,
            way=way,  # type: ignore[arg-type]  # as a settings file says it
            refresh_minutes=10,
            options=SnapshotOptions(wait_seconds=20, poll_seconds=0.02, page_rows=2),
        )

    def known(self, way: str, emails: list[str] = EMAILS, ids: list[str] = IDS) -> pd.DataFrame:
        matcher = self.matcher(way)
        assert matcher.choose(len(emails) + len(ids)) == way
        keys = text([*emails, *[None] * len(ids)])
        found = matcher.find_known(
            emails=deduplication.match_key(keys),
            email_hashes=deduplication.email_hash(keys),
            person_ids=text([*[""] * len(emails), *ids]),
        )
        order = ["match_key", "match_value", "record_id"]
        return found.sort_values(order).reset_index(drop=True)

    def both(self, emails: list[str] = EMAILS, ids: list[str] = IDS) -> pd.DataFrame:
        """What either way finds, which is the same."""
        by_lists = self.known("soql", emails, ids)
        pd.testing.assert_frame_equal(self.known("snapshot", emails, ids), by_lists)
        return by_lists

    def fill_count(self) -> int:
        """How often everything has been read."""
        return len(self.scenario.emulator.served("POST .*/jobs/query ")) // 2

    def age(self, minutes: int) -> None:
        """As if the mirror had been made so long ago, and all the org has with it."""
        past = timedelta(minutes=minutes)
        for table, names in {
            "org_snapshots": ["lead_watermark", "contact_watermark"],
            "org_records": ["created_at"],
        }.items():
            for row in self.scenario.rows(f"select distinct {', '.join(names)} from {table}"):
                for name in names:
                    then = datetime.fromisoformat(str(row[name])) - past
                    self.scenario.run(
                        f"update {table} set {name} = '{then:%Y-%m-%d %H:%M:%S.%f}' "
                        f"where {name} = '{row[name]}'"
                    )


@contextmanager
def lookout_of(scenario: Scenario) -> Iterator[Lookout]:
    with (
        open_warehouse(scenario.warehouse_url) as warehouse,
        log_in_to(scenario.settings().salesforce) as org,
    ):
        begin(warehouse, "R1")
        yield Lookout(scenario, warehouse, org)


@pytest.fixture
def lookout(any_scenario: Scenario) -> Iterator[Lookout]:
    """A warehouse on each engine in turn, and an org with LEADS."""
    any_scenario.set_org(LEADS)
    with lookout_of(any_scenario) as made:
        yield made


def lead_id(scenario: Scenario, email: str) -> str:
    return next(
        str(lead["Id"])
        for lead in scenario.emulator.held("leads")
        if (lead["Email"] or "").lower() == email
    )


# --- Found alike


def test_both_ways_find_the_same_by_email_and_by_person_id(lookout: Lookout) -> None:
    found = lookout.both()
    assert found[["match_key", "match_value", "sobject", "is_deleted"]].to_numpy().tolist() == [
        ["email", "ada@x.example", "Contact", False],
        ["email", "ada@x.example", "Lead", False],
        ["email", "bo@x.example", "Lead", False],
        ["email", "gone@x.example", "Lead", True],
        ["person_id", "P1", "Lead", False],
    ]


def test_nothing_is_found_where_nothing_is(any_scenario: Scenario) -> None:
    with lookout_of(any_scenario) as lookout:
        assert lookout.both().empty


def test_no_address_is_kept(lookout: Lookout) -> None:
    lookout.both()
    rows = lookout.scenario.rows("select * from org_records")
    assert len(rows) == 4
    assert not any("@" in str(cell) for row in rows for cell in row.values())


def addresses(letters: str) -> st.SearchStrategy[str]:
    names = st.text(st.sampled_from(letters), min_size=1, max_size=2)
    return names.map(lambda name: f"{name}@x.example")


# The org takes none but these; what persons bring is anything.
ADDRESSES, ANY = addresses("aAkK'+"), addresses("aAkK'+ é\u212a\u0130\0")
RECORDS = st.tuples(
    st.sampled_from(["lead", "contact"]), ADDRESSES, st.booleans(), st.sampled_from([*IDS[:3], ""])
)


def as_org(records: list[tuple[str, str, bool, str]]) -> str:
    parts, taken = [], set()
    for kind, email, is_deleted, person_id in records:
        lines = [f"[[{kind}]]", 'LastName = "N"', f'Email = "{email}"']
        lines += ["IsDeleted = true"] if is_deleted else []
        if kind == "lead":
            lines.append('Company = "C"')
            if person_id and person_id not in taken:
                lines.append(f'Person_Id__c = "{person_id}"')
                taken.add(person_id)
        parts.append("\n".join(lines))
    return "\n".join(parts)


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_both_ways_find_the_same_in_any_org(request: pytest.FixtureRequest, engine: str) -> None:
    url = request.getfixturevalue(f"{engine}_warehouse_url")
    scenario = Scenario(url, request.getfixturevalue("emulator_process"))
    with lookout_of(scenario) as lookout:

        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(RECORDS, max_size=6), st.lists(ANY, max_size=5))
        def law(records: list[tuple[str, str, bool, str]], emails: list[str]) -> None:
            scenario.set_org(as_org(records))
            lookout.both(emails)

        law()
    scenario.engine.dispose()


# --- What happens to the org between two runs


def test_what_has_changed_is_seen_without_reading_everything_again(lookout: Lookout) -> None:
    lookout.both()
    ada, bo = (lead_id(lookout.scenario, one) for one in EMAILS[:2])
    moved = {"attributes": {"type": "Lead"}, "id": ada, "Email": "moved@x.example"}
    lookout.org.patch_json("composite/sobjects", {"records": [moved]})
    lookout.org.post_json("sobjects/Lead", {"LastName": "N", "Company": "C", "Email": EMAILS[3]})
    assert set(lookout.both()["match_value"]) == {*EMAILS, "P1"}
    remove(lookout, bo, "delete")
    found = lookout.both()
    assert found.loc[found["match_value"] == EMAILS[1], "is_deleted"].tolist() == [True]
    assert lookout.fill_count() == 1


def test_a_lead_converted_or_taken_out_of_the_bin_is_seen(lookout: Lookout) -> None:
    lookout.both()
    converted = LEADS.replace('"bo@x.example"', '"bo@x.example"\nIsConverted = true')
    lookout.scenario.set_org(converted.replace("IsDeleted = true", ""))
    found = lookout.both().set_index("match_value")
    assert found.loc["bo@x.example", "is_converted"]
    assert not found.loc["gone@x.example", "is_deleted"]


def remove(lookout: Lookout, record_id: str, operation: str) -> None:
    """Put a lead into the bin, or past it."""
    asked = {"object": "Lead", "operation": operation, "contentType": "CSV", "lineEnding": "LF"}
    job_id = lookout.org.post_json("jobs/ingest", asked)["id"]
    ingest_jobs.upload(lookout.org, job_id, f"Id\n{record_id}\n".encode())
    lookout.org.patch_json(f"jobs/ingest/{job_id}", {"state": "UploadComplete"})
    while not (job := ingest_jobs.job_status(lookout.org, job_id)) or not job.has_ended:
        pass
    assert job.failed_count == 0


def erase(lookout: Lookout, email: str) -> None:
    remove(lookout, lead_id(lookout.scenario, email), "hardDelete")


def test_a_young_lead_erased_for_good_is_missed(lookout: Lookout) -> None:
    lookout.both()
    erase(lookout, "bo@x.example")
    assert "bo@x.example" not in set(lookout.both()["match_value"])
    assert lookout.fill_count() == 1


OLD = "".join(
    f'[[lead]]\nLastName = "O"\nCompany = "C"\nEmail = "old{n}@x.example"\n'
    f'CreatedDate = "2020-01-01T00:00:00.000+0000"\n{extra}\n'
    for n, extra in enumerate(["", "", "IsDeleted = true", "IsDeleted = true"])
)


@pytest.mark.parametrize("way", ["soql", "snapshot"])
def test_an_old_lead_erased_for_good_makes_the_counts_differ(
    any_scenario: Scenario, way: str
) -> None:
    any_scenario.set_org(LEADS + OLD)
    emails = [f"old{n}@x.example" for n in range(4)]
    with lookout_of(any_scenario) as lookout:
        assert len(lookout.both(emails)) == 5
        erase(lookout, "old1@x.example")
        assert set(lookout.both(emails)["match_value"]) == {*emails[:1], *emails[2:], "P1"}
        assert lookout.fill_count() == 2


def test_a_bin_that_was_emptied_is_read_again_and_no_more(any_scenario: Scenario) -> None:
    any_scenario.set_org(LEADS + OLD)
    emails = [f"old{n}@x.example" for n in range(4)]
    with lookout_of(any_scenario) as lookout:
        lookout.both(emails)
        any_scenario.set_org(LEADS + OLD.partition("IsDeleted")[0] + "IsDeleted = true\n")
        assert set(lookout.both(emails)["match_value"]) == {*emails[:3], "P1"}
        assert lookout.fill_count() == 0  # since the org was set anew


def test_another_person_id_field_is_read_anew(lookout: Lookout) -> None:
    assert "P1" in set(lookout.both()["match_value"])
    matcher = lookout.matcher("snapshot", field="")
    matcher.choose(9)
    assert lookout.fill_count() == 2
    found = matcher.find_known(
        emails=text([None]), email_hashes=text([None]), person_ids=text(["P1"])
    )
    assert found.empty
    assert len(lookout.scenario.rows("select * from org_records")) == 4


# --- What happens to a run


def test_pages_are_small_enough_to_keep_memory_flat_and_calls_few(lookout: Lookout) -> None:
    load(lookout.org, "LastName,Company\n" + "".join(f"L{n},C{n}\n" for n in range(17)))
    before = lookout.org.api_call_count
    mirror = OrgSnapshot(lookout.warehouse, lookout.org, "R1", "", SnapshotOptions(page_rows=5))
    mirror.refresh()
    pages = [line for line in lookout.scenario.emulator.served("/results") if "query" in line]
    assert len(pages) == 4 + 1  # 20 leads, 1 contact
    asked_and_awaited = lookout.org.api_call_count - before - len(pages)
    assert asked_and_awaited <= 2 * (1 + 5)
    assert mirror.record_count == 21


def test_a_mirror_up_to_date_costs_four_calls(lookout: Lookout) -> None:
    lookout.both()
    lookout.age(60)
    lookout.scenario.run("update org_records set created_at = '2020-01-01 00:00:00.000000'")
    before = lookout.org.api_call_count
    mirror = OrgSnapshot(lookout.warehouse, lookout.org, "R1", "Person_Id__c", SnapshotOptions())
    mirror.refresh()
    assert lookout.org.api_call_count - before <= 6
    assert mirror.refresh(most_seconds=60) < 60
    assert lookout.org.api_call_count - before <= 6


@pytest.mark.parametrize(
    ("match", "fault"),
    [
        ("POST /jobs/query", "status:500"),
        ("GET /jobs/query/*", "status:500"),
        ("GET /jobs/query/*/results", "truncate"),
        ("GET /jobs/query/*/results", "drop_before"),
    ],
)
def test_where_a_bulk_query_fails_lists_do_the_work(
    any_scenario: Scenario, match: str, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    any_scenario.set_org(LEADS)
    any_scenario.put("person_id | last_name | company | email\nP7 | A | C | bo@x.example")
    any_scenario.emulator.go_wrong({"match": match, "fault": fault, "count": 40})
    run = any_scenario.sync(matching=BULK)["run"]
    assert (run["lookup_method"], run["lookup_record_count"]) == ("soql", 1)
    assert any_scenario.outcome_counts("reason_code") == {"LEAD_EXISTS": 1}
    assert "by lists from now on" in caplog.text
    assert any_scenario.rows("select * from org_snapshots where is_complete") == []
    any_scenario.emulator.go_wrong()
    any_scenario.put("person_id | last_name | company | email\nP8 | A | C | ada@x.example")
    assert any_scenario.sync(matching=BULK)["run"]["lookup_method"] == "snapshot"
    assert len(any_scenario.rows("select * from org_records")) == 4


def test_a_refresh_that_fails_leaves_the_mirror_as_complete_as_it_was(lookout: Lookout) -> None:
    lookout.both()
    before = lookout.scenario.rows("select lead_watermark, contact_watermark from org_snapshots")
    lookout.scenario.emulator.go_wrong(
        {"match": "GET /queryAll", "fault": "status:500", "nth": 2, "count": 4}
    )
    matcher = lookout.matcher("snapshot")
    assert matcher.choose(5) == "soql"
    after = lookout.scenario.rows(
        "select lead_watermark, contact_watermark, lease_id from org_snapshots"
    )
    assert after == [{**before[0], "lease_id": None}]
    lookout.scenario.emulator.go_wrong()
    lookout.both()


def test_a_reading_killed_half_way_is_never_taken_for_whole(
    any_scenario: Scenario, tmp_path: Path
) -> None:
    any_scenario.set_org(LEADS)
    any_scenario.put_frame(make_persons(3))
    config = any_scenario.write_settings(tmp_path / "person-sync.toml", matching=BULK)
    slow = {"match": "GET /jobs/query/*/results", "fault": "slow:30", "nth": 2}
    any_scenario.emulator.go_wrong(slow)
    with any_scenario.start(config, "live") as run:
        run.wait_until_ready()
        while not any_scenario.rows("select * from org_records"):
            pass
        run.kill()
    any_scenario.emulator.go_wrong()
    (half,) = any_scenario.rows("select snapshot_number, is_complete from org_snapshots")
    assert not half["is_complete"]
    assert any_scenario.sync(matching=BULK)["run"]["lookup_method"] == "snapshot"
    assert any_scenario.unaccounted() == []
    (whole,) = any_scenario.rows("select snapshot_number, is_complete from org_snapshots")
    assert whole["is_complete"]
    assert whole["snapshot_number"] != half["snapshot_number"]
    for table in ("org_records", "org_record_keys"):
        (of_one,) = any_scenario.rows(f"select distinct snapshot_number from {table}")
        assert of_one["snapshot_number"] == whole["snapshot_number"]


def test_two_that_begin_at_once_read_everything_once(any_scenario: Scenario) -> None:
    any_scenario.set_org(LEADS)
    with lookout_of(any_scenario) as lookout:
        begin(lookout.warehouse, "R2")
        ways = []
        start = threading.Barrier(2)

        def choose(run_id: str) -> None:
            matcher = lookout.matcher("snapshot", run_id)
            start.wait()
            ways.append(matcher.choose(5))

        threads = [threading.Thread(target=choose, args=(run_id,)) for run_id in ("R1", "R2")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ways == ["snapshot"] * 2
        assert lookout.fill_count() == 1
        lookout.both()


def test_who_loses_the_mirror_to_another_run_goes_by_its_reading(lookout: Lookout) -> None:
    matcher = lookout.matcher("snapshot")
    matcher.choose(5)
    snapshots.lease_snapshot(
        lookout.warehouse, "R1", lookout.org.org_id, "Person_Id__c", lease_seconds=0, rebuild=True
    )
    other = lookout.matcher("snapshot", "R1", field="")
    other.choose(5)  # which forgets every other reading
    keys = text(["bo@x.example"])
    found = matcher.find_known(
        emails=keys, email_hashes=deduplication.email_hash(keys), person_ids=text(["P1"])
    )
    assert sorted(found["match_value"]) == ["P1", "bo@x.example"]


def test_a_worker_follows_the_way_of_its_run(lookout: Lookout) -> None:
    lookout.matcher("snapshot").choose(5)
    before = lookout.fill_count()
    worker = lookout.matcher("auto")
    worker.follow()
    keys = text(["bo@x.example"])
    found = worker.find_known(
        emails=keys, email_hashes=deduplication.email_hash(keys), person_ids=keys
    )
    assert found["match_value"].tolist() == ["bo@x.example"]
    assert lookout.fill_count() == before
    worker.note()
    (run,) = lookout.scenario.rows("select * from sync_runs")
    assert (run["lookup_method"], run["lookup_record_count"]) == ("snapshot", 4)


def test_a_few_persons_are_looked_up_by_lists_and_the_run_says_what_it_took(
    scenario: Scenario,
) -> None:
    scenario.set_org(LEADS)
    scenario.put_frame(make_persons(3))
    run = scenario.sync()["run"]
    assert (run["lookup_method"], run["lookup_call_count"]) == ("soql", 3)
    assert scenario.emulator.served("jobs/query ") == []
    scenario.put("person_id | last_name | company | email\nP9001 | A | C | bo@x.example")
    scenario.sync("plan", matching=BULK)
    (row,) = scenario.rows("select * from dim_sync_runs where run_mode = 'plan'")
    assert (row["lookup_method"], row["lookup_record_count"]) == ("snapshot", 7)
