"""A few records in one call: each answered for itself, none sent twice."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.errors import OrgUnavailableError
from pipelines.salesforce.session import Org
from pipelines.salesforce.sobject_collections import RecordResult, create_records, update_records
from tests.salesforce.servers import VERSION, Emulator, Script

ADDRESS = f"/services/data/v{VERSION}/composite/sobjects"
BYRON = {"LastName": "Byron", "Company": "Acme", "Email": "ada@b.example"}


def create(
    org: Org, *records: dict[str, Any], assignment: str = "FALSE", allow_duplicates: bool = False
) -> list[RecordResult]:
    return create_records(
        org, "Lead", records, assignment=assignment, allow_duplicates=allow_duplicates
    )


def test_each_record_has_a_result_in_the_order_sent(org: Org, emulator: Emulator) -> None:
    good, bad, also_good = create(org, BYRON, {"LastName": "X"}, {"LastName": "Y", "Company": "Z"})
    assert [one["Id"] for one in emulator.held("leads")] == [good.record_id, also_good.record_id]
    assert (good.is_created, good.code) == (True, None)
    assert (bad.record_id, bad.is_created) == (None, False)
    assert (bad.code, bad.fields) == ("REQUIRED_FIELD_MISSING", ("Company",))


def test_the_owner_given_stays_though_a_rule_is_active(org: Org, emulator: Emulator) -> None:
    [answer] = create(org, {**BYRON, "Country": "DE", "OwnerId": org.user_id})
    [lead] = emulator.held("leads")
    assert (lead["Id"], lead["OwnerId"]) == (answer.record_id, org.user_id)


def test_a_rule_named_chooses_the_owner(org: Org, emulator: Emulator) -> None:
    rules = org.get_json("query", {"q": "SELECT Id FROM AssignmentRule WHERE Active = true"})
    create(org, {**BYRON, "Country": "DE"}, assignment=rules["records"][0]["Id"])
    assert emulator.held("leads")[0]["OwnerId"] != org.user_id


def test_a_duplicate_is_rejected_unless_it_is_allowed(org: Org) -> None:
    [first] = create(org, BYRON)
    [refused] = create(org, BYRON)
    [wanted] = create(org, BYRON, allow_duplicates=True)
    assert refused.code == "DUPLICATES_DETECTED"
    assert wanted.is_created
    assert wanted.record_id != first.record_id


def test_a_record_is_updated_by_its_id(org: Org, emulator: Emulator) -> None:
    [made] = create(org, BYRON)
    change = {"Id": made.record_id, "Company": "Engines", "Country": "DE"}
    [answer] = update_records(org, "Lead", [change])
    [lead] = emulator.held("leads")
    assert (answer.record_id, answer.is_created, answer.code) == (made.record_id, False, None)
    assert (lead["Company"], lead["OwnerId"]) == ("Engines", org.user_id)


def test_every_header_is_sent(script: Script, scripted_org: Org) -> None:
    script.say(f"POST {ADDRESS}", 200, [{"success": True, "id": "00Q", "errors": []}])
    create(scripted_org, BYRON, assignment="01Q5e000000RuL1EAK", allow_duplicates=True)
    headers = script.seen[0].headers
    assert headers["Sforce-Auto-Assign"] == "01Q5e000000RuL1EAK"
    assert headers["Sforce-Duplicate-Rule-Header"] == "allowSave=true"


@pytest.mark.parametrize("fault", ["drop_after", "status:500_after"])
def test_a_lost_response_creates_no_second_record(org: Org, emulator: Emulator, fault: str) -> None:
    emulator.go_wrong({"match": "POST /composite/sobjects", "fault": fault})
    with pytest.raises(OrgUnavailableError):
        create(org, BYRON)
    assert len(emulator.held("leads")) == 1


@pytest.mark.parametrize("answer", [[], {}, [{"success": True}, {"success": True}]])
def test_results_for_too_few_records_are_a_transient_error(
    script: Script, scripted_org: Org, answer: object
) -> None:
    script.say(f"POST {ADDRESS}", 200, answer)
    with pytest.raises(OrgUnavailableError, match="every record"):
        create(scripted_org, BYRON)


@pytest.mark.parametrize("count", [0, 201])
def test_no_more_are_sent_than_fit(script: Script, scripted_org: Org, count: int) -> None:
    with pytest.raises(ValueError, match=str(count)):
        create(scripted_org, *[BYRON] * count)
    assert script.seen == []


def test_a_results_repr_holds_no_message_of_the_org() -> None:
    answer = RecordResult(None, is_created=False, code="X", message="canary", fields=())
    assert "canary" not in repr(answer)
