"""The SELECT that checks every case: it notices each way in which a result can be wrong."""

from __future__ import annotations

import pytest
import requests
import sqlalchemy

from tests.crash.accounts import differences, outcomes, troubles
from tests.crash.directed import Boundary
from tests.crash.environments import Environment, EnvironmentFactory
from tests.crash.suite import Case, run_case
from tests.crash.techniques import Clean
from tests.crash.variants import Variant

OF_ONE = "person_id = 'P0005'"
WRONG_ROWS = {
    "person without exactly one outcome or claim: P0005": (
        f"delete from person_outcomes where {OF_ONE}"
    ),
    "person without exactly one outcome or claim: P0013": """
        insert into person_claims (person_id, batch_id, run_id, claimed_at, owner_strategy,
            row_hash, attempt_count)
        select 'P0013', batch_id, run_id, current_timestamp, 'rules', '-', 1
        from person_outcomes where person_id = 'P0005'
    """,
    "still under way when nobody carries on: P0005": """
        insert into person_claims (person_id, batch_id, run_id, claimed_at, owner_strategy,
            row_hash, attempt_count)
        select person_id, batch_id, run_id, current_timestamp, 'rules', '-', 1
        from person_outcomes where person_id = 'P0005'
    """,
    "created, and the org has no such lead: P0005": (
        f"update person_outcomes set lead_id = '00Q000000000000AAA' where {OF_ONE}"
    ),
    "the lead of somebody else: P0005": f"""
        update person_outcomes
        set lead_id = (select lead_id from person_outcomes where person_id = 'P0009')
        where {OF_ONE}
    """,
    "run whose counts do not add up": "update sync_runs set created_count = created_count - 1",
}


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_every_wrong_row_is_noticed(factory: EnvironmentFactory, engine: str) -> None:
    with factory.environment(Variant(engine, has_field=False)) as environment:
        assert environment.run_to_end().is_done
        assert troubles(environment) == []
        for trouble, statement in WRONG_ROWS.items():
            assert any(line.startswith(trouble) for line in _with(environment, statement)), trouble


def _with(environment: Environment, statement: str) -> list[str]:
    """The troubles once this is done to the warehouse; then it is as it was."""
    ledger = {
        table: environment.rows(f"select * from {table}")
        for table in ("person_outcomes", "person_claims", "sync_runs")
    }
    with environment.connect() as connection:
        connection.execute(sqlalchemy.text(statement))
    found = troubles(environment)
    with environment.connect() as connection:
        for table, rows in ledger.items():
            connection.execute(sqlalchemy.text(f"delete from {table}"))
            for row in rows:
                names = ", ".join(row)
                marks = ", ".join(f":{name}" for name in row)
                insert = f"insert into {table} ({names}) values ({marks})"
                connection.execute(sqlalchemy.text(insert), row)
    assert troubles(environment) == []
    return found


def test_a_second_lead_is_noticed(factory: EnvironmentFactory) -> None:
    with factory.environment(Variant("sqlite", has_field=False)) as environment:
        assert environment.run_to_end().is_done
        _make_lead(environment, "p5@persons.example")
        _make_lead(environment, "stranger@persons.example")
        found = troubles(environment)
    assert "more than one lead for this e-mail: p5@persons.example" in found
    assert sum(line.startswith("lead in the org without exactly one person") for line in found) == 2


def _make_lead(environment: Environment, email: str) -> None:
    url = environment.emulator.url
    login = {
        "grant_type": "client_credentials",
        "client_id": "test-key",
        "client_secret": "test-secret",
    }
    token = requests.post(f"{url}/services/oauth2/token", data=login, timeout=10).json()
    answer = requests.post(
        f"{url}/services/data/v67.0/sobjects/Lead",
        json={"LastName": "Twice", "Company": "Engines", "Email": email},
        headers={"Authorization": f"Bearer {token['access_token']}"},
        timeout=10,
    )
    assert answer.status_code == 201, answer.text


def test_another_owner_or_outcome_than_undisturbed_is_noticed(factory: EnvironmentFactory) -> None:
    with factory.environment(Variant("sqlite", has_field=False)) as environment:
        assert environment.run_to_end().is_done
        clean = outcomes(environment)
        with environment.connect() as connection:
            wrong = "outcome = 'held', reason_code = 'JOB_GONE', lead_id = null"
            connection.execute(
                sqlalchemy.text(f"update person_outcomes set {wrong} where {OF_ONE}")
            )
        assert [line.split()[0] for line in differences(environment, clean)] == ["P0005"]
        assert len(differences(environment, clean, may_hold=["RESPONSE_LOST"])) == 1
        assert differences(environment, clean, may_hold=["JOB_GONE"]) == []


def test_a_case_that_nobody_has_accounted_for_is_no_good(factory: EnvironmentFactory) -> None:
    def careless(environment: Environment, _clean: Clean, _place: Boundary) -> list[str]:
        environment.run_to_end()
        return []

    case = Case("careless", Variant("sqlite", has_field=True))
    result = run_case(factory, Clean([], {}), case, techniques={"careless": careless})
    assert result.violations == ["nobody has looked whether everything adds up"]
