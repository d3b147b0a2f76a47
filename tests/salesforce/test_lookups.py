"""Looking up: nothing found that was not asked for, nothing missed that is there."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.errors import OrgLimitError, OrgRejectedError
from pipelines.salesforce import ingest_jobs, lead_owners, lookups
from pipelines.salesforce.session import Org
from pipelines.salesforce.sobject_collections import create_records
from pipelines.salesforce.soql import MAX_URI_BYTES
from tests.salesforce.servers import MARKETING_ORG, QUERY, VERSION, Emulator, Script
from tests.salesforce.test_ingest_jobs import load

KNOWN = """
[[lead]]
LastName = "Open"
Company = "Acme"
Email = "Open@Acme.example"
Person_Id__c = "p-1"
[[lead]]
LastName = "Converted"
Company = "Acme"
Email = "converted@acme.example"
IsConverted = true
Person_Id__c = "p-2"
[[lead]]
LastName = "Deleted"
Company = "Acme"
Email = "deleted@acme.example"
IsDeleted = true
[[lead]]
LastName = "O'Brien"
Company = "Acme"
Email = "o'brien@acme.example"
[[contact]]
LastName = "Menabrea"
Email = "open@acme.example"
"""


@pytest.fixture
def known_org(org: Org, emulator: Emulator) -> Org:
    """The org of MARKETING_ORG holding the records of KNOWN."""
    emulator.reset(MARKETING_ORG + KNOWN)
    return org


def find_known(org: Org, *emails: str, ids: tuple[str, ...] = (), field: str = "") -> pd.DataFrame:
    return lookups.find_known(org, emails=emails, person_ids=ids, person_id_field=field)


# --- Fields and limits


def test_fields_of_lead_are_described(org: Org) -> None:
    fields = lookups.describe(org, "Lead")
    company, person_id = fields["Company"], fields["Person_Id__c"]
    assert (company.type, company.length, company.nillable) == ("string", 255, False)
    assert company.createable
    assert company.updateable
    assert (person_id.unique, person_id.external_id, person_id.length) == (True, True, 64)
    assert fields["Status"].defaulted_on_create
    assert not fields["LeadSource"].restricted_picklist
    assert "Web" in fields["LeadSource"].picklist_values
    assert fields["AnnualRevenue"].precision == 18
    assert fields["NumberOfEmployees"].digits == 8


def test_a_field_hidden_from_the_login_is_not_there(org: Org) -> None:
    assert "HasOptedOutOfEmail" not in lookups.describe(org, "Lead")


def test_an_inactive_picklist_value_is_none(script: Script, scripted_org: Org) -> None:
    flags = "createable updateable nillable defaultedOnCreate unique externalId caseSensitive"
    numbers = dict.fromkeys(["length", "digits", "precision", "scale"], 0)
    picklist = [{"value": "Web", "active": True}, {"value": "Fax", "active": False}]
    field = {
        **dict.fromkeys([*flags.split(), "restrictedPicklist"], True),
        **numbers,
        "name": "LeadSource",
        "label": "Source",
        "type": "picklist",
        "picklistValues": picklist,
    }
    script.say(f"GET /services/data/v{VERSION}/sobjects/Lead/describe", 200, {"fields": [field]})
    described = lookups.describe(scripted_org, "Lead")
    assert described["LeadSource"].picklist_values == {"Web"}


def test_an_object_that_is_no_name_is_not_sent(script: Script, scripted_org: Org) -> None:
    with pytest.raises(ValueError, match="not the name"):
        lookups.describe(scripted_org, "Lead/../Contact")
    assert script.seen == []


def test_limits_are_what_is_allowed_and_what_is_left(org: Org) -> None:
    allowed, left = lookups.limits(org)["DailyApiRequests"]
    assert 0 < left < allowed


# --- Owners


def test_users_are_found_by_username_and_by_id(org: Org) -> None:
    users = lookups.find_users(org, ["Ada@acme.example", "gone@acme.example", "nobody@x.example"])
    found = users.set_index("username")
    assert list(found.loc["ada@acme.example", ["name", "is_active", "user_type"]]) == [
        "Ada",
        True,
        "Standard",
    ]
    assert not found.loc["gone@acme.example", "is_active"]
    by_id = lookups.find_users(org, [users["user_id"][0], users["user_id"][0][:15]])
    assert by_id["user_id"].tolist() == [users["user_id"][0]]


def test_without_names_no_user_is_found_and_no_call_sent(script: Script, scripted_org: Org) -> None:
    users = lookups.find_users(scripted_org, [])
    assert list(users.columns) == ["user_id", "username", "name", "is_active", "user_type"]
    assert [str(kind) for kind in users.dtypes] == ["str", "str", "str", "bool", "str"]
    assert script.seen == []


def test_queues_say_whether_they_take_leads(org: Org) -> None:
    queues = lookups.find_queues(org).set_index("developer_name")
    serves_leads = {"Unassigned": True, "Inbound": True, "Cases": False}
    assert queues["serves_leads"].to_dict() == serves_leads
    assert queues.loc["Unassigned", "name"] == "Unassigned"


def test_assignment_rules_say_which_is_active(org: Org) -> None:
    rules = lookups.find_assignment_rules(org).set_index("name")
    assert rules["is_active"].to_dict() == {"Standard routing": True, "Fair": False}
    assert rules["rule_id"].str.startswith("01Q").all()


# --- Known records


def test_an_email_finds_lead_and_contact_whatever_its_case(known_org: Org) -> None:
    known = find_known(known_org, " OPEN@acme.example ")
    assert known["sobject"].tolist() == ["Lead", "Contact"]
    assert known["match_value"].tolist() == ["open@acme.example"] * 2
    assert known["match_key"].tolist() == ["email"] * 2
    assert known["record_id"].str.len().tolist() == [18, 18]
    assert known["owner_id"].str.startswith("005").all()


def test_converted_and_deleted_leads_are_found_and_say_so(known_org: Org) -> None:
    known = find_known(known_org, "converted@acme.example", "deleted@acme.example")
    flags = known.set_index("match_value")[["is_converted", "is_deleted"]]
    assert list(flags.loc["converted@acme.example"]) == [True, False]
    assert list(flags.loc["deleted@acme.example"]) == [False, True]


def test_a_person_id_finds_its_lead_though_the_email_differs(known_org: Org) -> None:
    known = find_known(
        known_org, "open@acme.example", ids=("p-1", "p-2", "P-1"), field="person_id__C"
    )
    by_id = known[known["match_key"] == "person_id"]
    assert by_id["match_value"].tolist() == ["p-1", "p-2"]
    assert by_id["sobject"].tolist() == ["Lead", "Lead"]


def test_no_known_record_is_a_frame_of_the_same_columns(known_org: Org) -> None:
    nothing, something = (
        find_known(known_org, "nobody@x.example"),
        find_known(known_org, "open@acme.example"),
    )
    assert nothing.empty
    assert nothing.dtypes.to_dict() == something.dtypes.to_dict()
    assert str(nothing["created_at"].dtype) == "datetime64[us]"


def test_blanks_are_never_looked_up(script: Script, scripted_org: Org) -> None:
    assert find_known(scripted_org, "", "  ", ids=("", "\t"), field="Person_Id__c").empty
    assert script.seen == []


@given(st.text(), st.sampled_from(["", "open@acme.example", "' OR Email != '", "\\"]))
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_text_finds_only_its_equal(known_org: Org, text: str, tail: str) -> None:
    value = text + tail
    known = find_known(known_org, value, ids=(value,), field="Person_Id__c")
    key = value.strip().lower()
    assert set(known["match_value"]) <= {key, value}
    assert known.empty or key == "open@acme.example"


@pytest.mark.parametrize("email", ["o'brien@acme.example"])
def test_a_quote_in_an_address_finds_its_lead(known_org: Org, email: str) -> None:
    assert find_known(known_org, email)["match_value"].tolist() == [email]


def test_many_addresses_go_in_few_queries_each_short_enough(
    script: Script, scripted_org: Org
) -> None:
    script.say(QUERY.replace("query", "queryAll"), 200, {"done": True, "records": []})
    emails = [f"person+{number}'s@a-rather-long-domain.example" for number in range(1_000)]
    find_known(scripted_org, *emails)
    sent = [len(one.path) for one in script.seen]
    assert max(sent) <= MAX_URI_BYTES
    assert 8 <= len(sent) <= 16
    asked = "".join(one.path for one in script.seen)
    assert all(f"person%2B{number}%5C%27s" in asked for number in range(1_000))


def test_pages_are_followed_to_the_last(org: Org, emulator: Emulator) -> None:
    load(
        org,
        "LastName,Company,Email\n" + "".join(f"L{n},C{n},same@x.example\n" for n in range(2_100)),
    )
    assert len(find_known(org, "same@x.example")) == len(emulator.held("leads")) > 2_000


def test_contacts_hidden_from_the_login_stop_the_look_up(script: Script, scripted_org: Org) -> None:
    message = "sObject type 'Contact' is not supported."
    path = QUERY.replace("query", "queryAll")
    script.say(path, 200, {"done": True, "records": []})
    script.say(path, 400, [{"errorCode": "INVALID_TYPE", "message": message}])
    with pytest.raises(OrgRejectedError, match=r"grant it read access .* \(Contact\)"):
        find_known(scripted_org, "a@b.example")


def test_leads_are_found_by_person_id(known_org: Org) -> None:
    leads = lookups.find_leads_by_person_id(known_org, "Person_Id__c", ["p-1", "p-2", "p-3"])
    assert leads[["person_id", "is_deleted", "is_converted"]].to_numpy().tolist() == [
        ["p-1", False, False],
        ["p-2", False, True],
    ]
    assert leads["lead_id"].str.startswith("00Q").all()


# --- Owners given


def make_leads(org: Org, *records: dict[str, Any]) -> list[str]:
    fill = {"Company": "Acme", "Country": None}
    answers = create_records(
        org, "Lead", [{**fill, **one} for one in records], assignment="FALSE", allow_duplicates=True
    )
    return [str(answer.record_id) for answer in answers]


def test_owners_are_read_back_by_name_and_kind(org: Org) -> None:
    queue = lookups.find_queues(org).set_index("developer_name").loc["Unassigned", "queue_id"]
    ids = make_leads(org, {"LastName": "A"}, {"LastName": "B", "OwnerId": queue})
    owners = lead_owners.read_owners(org, [*ids, "00Q5e00000AbCd1EAF"], created_since=None)
    assert owners.sort_values("lead_id").to_numpy().tolist() == [
        [ids[0], org.user_id, "Loader", "user"],
        [ids[1], queue, "Unassigned", "queue"],
    ]


def test_names_already_read_are_not_read_again(org: Org, emulator: Emulator) -> None:
    ids = make_leads(org, {"LastName": "A"})
    lead_owners.read_owners(org, ids, created_since=None)
    before = len(emulator.served())
    lead_owners.read_owners(org, ids, created_since=None)
    assert len(emulator.served()) == before + 1


def test_no_leads_have_no_owners(org: Org) -> None:
    owners = lead_owners.read_owners(org, [], created_since=None)
    assert list(owners.columns) == ["lead_id", "owner_id", "owner_name", "owner_type"]
    assert {str(kind) for kind in owners.dtypes} == {"str"}


def load_many(org: Org) -> tuple[list[str], datetime]:
    """2,100 leads by one job: their ids, and when the job was made."""
    job_id = load(org, "LastName,Company\n" + "".join(f"L{n},C{n}\n" for n in range(2_100)))
    job = ingest_jobs.job_status(org, job_id)
    assert job is not None
    return ingest_jobs.fetch_results(org, job_id).successful["sf__Id"].tolist(), job.created_date


def test_owners_of_many_leads_are_read_by_one_bulk_query(org: Org, emulator: Emulator) -> None:
    ids, since = load_many(org)
    owners = lead_owners.read_owners(org, ids, created_since=since)
    assert set(owners["lead_id"]) == set(ids)
    assert set(owners["owner_id"]) == {org.user_id}
    assert len(emulator.served("POST .*jobs/query")) == 1
    assert emulator.served("composite") == []


def test_owners_of_many_old_leads_are_read_in_slices(org: Org, emulator: Emulator) -> None:
    ids, _ = load_many(org)
    assert len(lead_owners.read_owners(org, ids, created_since=None)) == 2_100
    assert len(emulator.served("composite")) == 2


MANY = [f"00Q{number:015d}" for number in range(2_001)]
JOBS = f"/services/data/v{VERSION}/jobs/query"


@pytest.fixture
def querying(script: Script, scripted_org: Org) -> Org:
    """An org that takes a bulk query; the test says what becomes of it."""
    script.say(f"GET /services/data/v{VERSION}/", 200, {"identity": "https://x/id/00D/005me"})
    script.say(f"POST {JOBS}", 200, {"id": "750q", "createdDate": "2026-11-22T14:00:00.000+0000"})
    script.say(f"PATCH {JOBS}/750q", 200, {"id": "750q", "state": "Aborted"})
    script.say(QUERY, 200, {"done": True, "records": [{"Id": "005a", "Name": "Ada"}]})
    return scripted_org


def test_locators_are_followed_to_the_last(script: Script, querying: Org) -> None:
    script.say(f"GET {JOBS}/750q", 200, {"state": "InProgress"})
    script.say(f"GET {JOBS}/750q", 200, {"state": "JobComplete"})
    page = f'"Id","OwnerId"\n"{MANY[0]}","005a"\n"00Qother","005a"\n'.encode()
    script.say(f"GET {JOBS}/750q/results", 200, page, Sforce_Locator="abc")
    script.say(
        f"GET {JOBS}/750q/results", 200, page.replace(b"000,", b"001,"), Sforce_Locator="null"
    )
    owners = lead_owners.read_owners(querying, MANY, created_since="2026-11-22T15:00:00+01:00")
    assert len(owners) == 2
    assert script.seen[-2].path.endswith("&locator=abc")
    assert b"CreatedDate >= 2026-11-22T14:00:00+00:00 AND CreatedById = '005me'" in _soql(script)


def _soql(script: Script) -> bytes:
    return next(one.body for one in script.seen if one.method == "POST")


def test_a_bulk_query_without_a_row_gives_no_owners(script: Script, querying: Org) -> None:
    script.say(f"GET {JOBS}/750q", 200, {"state": "JobComplete"})
    script.say(f"GET {JOBS}/750q/results", 200, b"")
    assert lead_owners.read_owners(querying, MANY, created_since="2026-11-22").empty


def test_a_failed_bulk_query_is_an_error(script: Script, querying: Org) -> None:
    script.say(f"GET {JOBS}/750q", 200, {"state": "Failed"})
    with pytest.raises(OrgRejectedError, match="QUERY_FAILED"):
        lead_owners.read_owners(querying, MANY, created_since="2026-11-22")


def test_a_bulk_query_that_is_too_slow_is_aborted(script: Script, querying: Org) -> None:
    script.say(f"GET {JOBS}/750q", 200, {"state": "UploadComplete"})
    with pytest.raises(OrgLimitError):
        lead_owners.read_owners(querying, MANY, created_since="2026-11-22", wait_seconds=0)
    assert f"PATCH {JOBS}/750q" in script.paths()


def test_leads_are_counted_by_owner(org: Org) -> None:
    queue = lookups.find_queues(org).set_index("developer_name").loc["Unassigned", "queue_id"]
    make_leads(org, {"LastName": "A"}, {"LastName": "B", "OwnerId": queue}, {"LastName": "C"})
    counts = lead_owners.count_leads_by_owner(org)
    assert counts.to_numpy().tolist() == [
        ["Loader", "user", 2],
        ["Unassigned", "queue", 1],
    ]


def test_an_org_without_leads_has_nothing_to_count(org: Org) -> None:
    assert lead_owners.count_leads_by_owner(org).empty
