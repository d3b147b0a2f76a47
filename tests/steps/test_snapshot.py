"""The snapshot of the org: it finds the same records as SOQL, whatever has happened to the org, to
another run or to the run before."""

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

BY_SNAPSHOT = {"lookup": "snapshot"}
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


class BothMethods:
    """Looks persons up in the org of a scenario by both methods."""

    def __init__(self, scenario: Scenario, warehouse: Warehouse, org: Org) -> None:
        self.scenario, self.warehouse, self.org = scenario, warehouse, org

    def matcher(self, method: str, run_id: str = "R1", field: str = "Person_Id__c") -> Matcher:
        return Matcher(
            self.warehouse,
            self.org,
            run_id,
            person_id_field=field,
            lookup=method,  # type: ignore[arg-type]  # as a settings file says it
            refresh_minutes=10,
            options=SnapshotOptions(wait_seconds=20, poll_seconds=0.02, page_rows=2),
        )

    def known(self, method: str, emails: list[str] = EMAILS, ids: list[str] = IDS) -> pd.DataFrame:
        matcher = self.matcher(method)
        assert matcher.choose_method(len(emails) + len(ids)) == method
        keys = text([*emails, *[None] * len(ids)])
        found = matcher.find_known(
            emails=deduplication.match_key(keys),
            email_hashes=deduplication.email_hash(keys),
            person_ids=text([*[""] * len(emails), *ids]),
        )
        order = ["match_key", "match_value", "record_id"]
        return found.sort_values(order).reset_index(drop=True)

    def both(self, emails: list[str] = EMAILS, ids: list[str] = IDS) -> pd.DataFrame:
        """Return what each method finds, which is the same."""
        by_soql = self.known("soql", emails, ids)
        pd.testing.assert_frame_equal(self.known("snapshot", emails, ids), by_soql)
        return by_soql

    def build_count(self) -> int:
        """Return how often a snapshot was built."""
        return len(self.scenario.emulator.served("POST .*/jobs/query ")) // 2

    def age(self, minutes: int) -> None:
        """Make the snapshot, and all records of the org, so much older."""
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
def methods_of(scenario: Scenario) -> Iterator[BothMethods]:
    with (
        open_warehouse(scenario.warehouse_url) as warehouse,
        log_in_to(scenario.settings().salesforce) as org,
    ):
        begin(warehouse, "R1")
        yield BothMethods(scenario, warehouse, org)


@pytest.fixture
def methods(any_scenario: Scenario) -> Iterator[BothMethods]:
    """A warehouse on each engine in turn, and an org with LEADS."""
    any_scenario.set_org(LEADS)
    with methods_of(any_scenario) as made:
        yield made


def lead_id(scenario: Scenario, email: str) -> str:
    return next(
        str(lead["Id"])
        for lead in scenario.emulator.held("leads")
        if (lead["Email"] or "").lower() == email
    )


# --- Both methods find the same


def test_both_methods_find_the_same_by_email_and_by_person_id(methods: BothMethods) -> None:
    found = methods.both()
    assert found[["match_key", "match_value", "sobject", "is_deleted"]].to_numpy().tolist() == [
        ["email", "ada@x.example", "Contact", False],
        ["email", "ada@x.example", "Lead", False],
        ["email", "bo@x.example", "Lead", False],
        ["email", "gone@x.example", "Lead", True],
        ["person_id", "P1", "Lead", False],
    ]


def test_nothing_is_found_in_an_empty_org(any_scenario: Scenario) -> None:
    with methods_of(any_scenario) as methods:
        assert methods.both().empty


def test_no_address_is_stored(methods: BothMethods) -> None:
    methods.both()
    rows = methods.scenario.rows("select * from org_records")
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
def test_both_methods_find_the_same_in_any_org(request: pytest.FixtureRequest, engine: str) -> None:
    url = request.getfixturevalue(f"{engine}_warehouse_url")
    scenario = Scenario(url, request.getfixturevalue("emulator_process"))
    with methods_of(scenario) as methods:

        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(RECORDS, max_size=6), st.lists(ANY, max_size=5))
        def law(records: list[tuple[str, str, bool, str]], emails: list[str]) -> None:
            scenario.set_org(as_org(records))
            methods.both(emails)

        law()
    scenario.engine.dispose()


# --- What happens to the org between two runs


def test_changes_are_seen_without_building_again(methods: BothMethods) -> None:
    methods.both()
    ada, bo = (lead_id(methods.scenario, one) for one in EMAILS[:2])
    moved = {"attributes": {"type": "Lead"}, "id": ada, "Email": "moved@x.example"}
    methods.org.patch_json("composite/sobjects", {"records": [moved]})
    methods.org.post_json("sobjects/Lead", {"LastName": "N", "Company": "C", "Email": EMAILS[3]})
    assert set(methods.both()["match_value"]) == {*EMAILS, "P1"}
    remove(methods, bo, "delete")
    found = methods.both()
    assert found.loc[found["match_value"] == EMAILS[1], "is_deleted"].tolist() == [True]
    assert methods.build_count() == 1


def test_a_lead_that_was_converted_or_restored_is_seen(methods: BothMethods) -> None:
    methods.both()
    converted = LEADS.replace('"bo@x.example"', '"bo@x.example"\nIsConverted = true')
    methods.scenario.set_org(converted.replace("IsDeleted = true", ""))
    found = methods.both().set_index("match_value")
    assert found.loc["bo@x.example", "is_converted"]
    assert not found.loc["gone@x.example", "is_deleted"]


def remove(methods: BothMethods, record_id: str, operation: str) -> None:
    """Delete a lead, or erase it with hardDelete."""
    job_of = {"object": "Lead", "operation": operation, "contentType": "CSV", "lineEnding": "LF"}
    job_id = methods.org.post_json("jobs/ingest", job_of)["id"]
    ingest_jobs.upload(methods.org, job_id, f"Id\n{record_id}\n".encode())
    methods.org.patch_json(f"jobs/ingest/{job_id}", {"state": "UploadComplete"})
    while not (job := ingest_jobs.job_status(methods.org, job_id)) or not job.has_ended:
        pass
    assert job.failed_count == 0


def erase(methods: BothMethods, email: str) -> None:
    remove(methods, lead_id(methods.scenario, email), "hardDelete")


def test_an_erased_recent_lead_is_removed(methods: BothMethods) -> None:
    methods.both()
    erase(methods, "bo@x.example")
    assert "bo@x.example" not in set(methods.both()["match_value"])
    assert methods.build_count() == 1


OLD = "".join(
    f'[[lead]]\nLastName = "O"\nCompany = "C"\nEmail = "old{n}@x.example"\n'
    f'CreatedDate = "2020-01-01T00:00:00.000+0000"\n{extra}\n'
    for n, extra in enumerate(["", "", "IsDeleted = true", "IsDeleted = true"])
)


def test_an_erased_old_lead_makes_the_counts_differ(any_scenario: Scenario) -> None:
    any_scenario.set_org(LEADS + OLD)
    emails = [f"old{n}@x.example" for n in range(4)]
    with methods_of(any_scenario) as methods:
        assert len(methods.both(emails)) == 5
        erase(methods, "old1@x.example")
        assert set(methods.both(emails)["match_value"]) == {*emails[:1], *emails[2:], "P1"}
        assert methods.build_count() == 2


def test_of_an_emptied_recycle_bin_only_the_deleted_are_read_again(any_scenario: Scenario) -> None:
    any_scenario.set_org(LEADS + OLD)
    emails = [f"old{n}@x.example" for n in range(4)]
    with methods_of(any_scenario) as methods:
        methods.both(emails)
        any_scenario.set_org(LEADS + OLD.partition("IsDeleted")[0] + "IsDeleted = true\n")
        assert set(methods.both(emails)["match_value"]) == {*emails[:3], "P1"}
        assert methods.build_count() == 0  # since the org was set again


def test_another_person_id_field_needs_another_snapshot(methods: BothMethods) -> None:
    assert "P1" in set(methods.both()["match_value"])
    matcher = methods.matcher("snapshot", field="")
    matcher.choose_method(9)
    assert methods.build_count() == 2
    found = matcher.find_known(
        emails=text([None]), email_hashes=text([None]), person_ids=text(["P1"])
    )
    assert found.empty
    assert len(methods.scenario.rows("select * from org_records")) == 4


# --- What happens to a run


def test_pages_are_small_enough_to_keep_memory_flat_and_calls_few(methods: BothMethods) -> None:
    load(methods.org, "LastName,Company\n" + "".join(f"L{n},C{n}\n" for n in range(17)))
    before = methods.org.api_call_count
    snapshot = OrgSnapshot(methods.warehouse, methods.org, "R1", "", SnapshotOptions(page_rows=5))
    snapshot.refresh()
    pages = [line for line in methods.scenario.emulator.served("/results") if "query" in line]
    assert len(pages) == 4 + 1  # 20 leads, 1 contact
    created_and_polled = methods.org.api_call_count - before - len(pages)
    assert created_and_polled <= 2 * (1 + 5)
    assert snapshot.record_count == 21


def test_an_unchanged_org_costs_four_calls(methods: BothMethods) -> None:
    methods.both()
    methods.age(60)
    methods.scenario.run("update org_records set created_at = '2020-01-01 00:00:00.000000'")
    before = methods.org.api_call_count
    snapshot = OrgSnapshot(methods.warehouse, methods.org, "R1", "Person_Id__c", SnapshotOptions())
    snapshot.refresh()
    assert methods.org.api_call_count - before <= 6
    assert snapshot.refresh(max_age_seconds=60) < 60
    assert methods.org.api_call_count - before <= 6


@pytest.mark.parametrize(
    ("match", "fault"),
    [
        ("POST /jobs/query", "status:500"),
        ("GET /jobs/query/*", "status:500"),
        ("GET /jobs/query/*/results", "truncate"),
        ("GET /jobs/query/*/results", "drop_before"),
    ],
)
def test_after_a_failed_bulk_query_soql_is_used(
    any_scenario: Scenario, match: str, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    any_scenario.set_org(LEADS)
    any_scenario.put("person_id | last_name | company | email\nP7 | A | C | bo@x.example")
    any_scenario.emulator.go_wrong({"match": match, "fault": fault, "count": 40})
    run = any_scenario.sync(matching=BY_SNAPSHOT)["run"]
    assert (run["lookup_method"], run["lookup_record_count"]) == ("soql", 1)
    assert any_scenario.outcome_counts("reason_code") == {"LEAD_EXISTS": 1}
    assert "by SOQL from now on" in caplog.text
    assert any_scenario.rows("select * from org_snapshots where is_complete") == []
    any_scenario.emulator.go_wrong()
    any_scenario.put("person_id | last_name | company | email\nP8 | A | C | ada@x.example")
    assert any_scenario.sync(matching=BY_SNAPSHOT)["run"]["lookup_method"] == "snapshot"
    assert len(any_scenario.rows("select * from org_records")) == 4


def test_a_failed_refresh_leaves_the_snapshot_unchanged(methods: BothMethods) -> None:
    methods.both()
    before = methods.scenario.rows("select lead_watermark, contact_watermark from org_snapshots")
    methods.scenario.emulator.go_wrong(
        {"match": "GET /queryAll", "fault": "status:500", "nth": 2, "count": 4}
    )
    matcher = methods.matcher("snapshot")
    assert matcher.choose_method(5) == "soql"
    after = methods.scenario.rows(
        "select lead_watermark, contact_watermark, lease_id from org_snapshots"
    )
    assert after == [{**before[0], "lease_id": None}]
    methods.scenario.emulator.go_wrong()
    methods.both()


def test_a_snapshot_of_a_killed_run_is_never_used(any_scenario: Scenario, tmp_path: Path) -> None:
    any_scenario.set_org(LEADS)
    any_scenario.put_frame(make_persons(3))
    config = any_scenario.write_settings(tmp_path / "person-sync.toml", matching=BY_SNAPSHOT)
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
    assert any_scenario.sync(matching=BY_SNAPSHOT)["run"]["lookup_method"] == "snapshot"
    assert any_scenario.unaccounted() == []
    (whole,) = any_scenario.rows("select snapshot_number, is_complete from org_snapshots")
    assert whole["is_complete"]
    assert whole["snapshot_number"] != half["snapshot_number"]
    for table in ("org_records", "org_record_keys"):
        (of_one,) = any_scenario.rows(f"select distinct snapshot_number from {table}")
        assert of_one["snapshot_number"] == whole["snapshot_number"]


def test_two_runs_that_begin_together_build_one_snapshot(any_scenario: Scenario) -> None:
    any_scenario.set_org(LEADS)
    with methods_of(any_scenario) as methods:
        begin(methods.warehouse, "R2")
        chosen = []
        start = threading.Barrier(2)

        def choose(run_id: str) -> None:
            matcher = methods.matcher("snapshot", run_id)
            start.wait()
            chosen.append(matcher.choose_method(5))

        threads = [threading.Thread(target=choose, args=(run_id,)) for run_id in ("R1", "R2")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert chosen == ["snapshot"] * 2
        assert methods.build_count() == 1
        methods.both()


def test_a_run_whose_snapshot_was_replaced_uses_the_other_one(methods: BothMethods) -> None:
    matcher = methods.matcher("snapshot")
    matcher.choose_method(5)
    snapshots.lease_snapshot(
        methods.warehouse, "R1", methods.org.org_id, "Person_Id__c", lease_seconds=0, rebuild=True
    )
    other = methods.matcher("snapshot", "R1", field="")
    other.choose_method(5)  # which deletes every other snapshot
    keys = text(["bo@x.example"])
    found = matcher.find_known(
        emails=keys, email_hashes=deduplication.email_hash(keys), person_ids=text(["P1"])
    )
    assert sorted(found["match_value"]) == ["P1", "bo@x.example"]


def test_a_worker_uses_the_method_of_its_run(methods: BothMethods) -> None:
    methods.matcher("snapshot").choose_method(5)
    before = methods.build_count()
    worker = methods.matcher("auto")
    worker.use_chosen_method()
    keys = text(["bo@x.example"])
    found = worker.find_known(
        emails=keys, email_hashes=deduplication.email_hash(keys), person_ids=keys
    )
    assert found["match_value"].tolist() == ["bo@x.example"]
    assert methods.build_count() == before
    worker.flush_stats()
    (run,) = methods.scenario.rows("select * from sync_runs")
    assert (run["lookup_method"], run["lookup_record_count"]) == ("snapshot", 4)


def test_few_persons_are_looked_up_by_soql_and_the_cost_is_recorded(
    scenario: Scenario,
) -> None:
    scenario.set_org(LEADS)
    scenario.put_frame(make_persons(3))
    run = scenario.sync()["run"]
    assert (run["lookup_method"], run["lookup_call_count"]) == ("soql", 3)
    assert scenario.emulator.served("jobs/query ") == []
    scenario.put("person_id | last_name | company | email\nP9001 | A | C | bo@x.example")
    scenario.sync("plan", matching=BY_SNAPSHOT)
    (row,) = scenario.rows("select * from dim_sync_runs where run_mode = 'plan'")
    assert (row["lookup_method"], row["lookup_record_count"]) == ("snapshot", 7)
