"""Number 12: what a describe shows, in the keys and measures of a recorded one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.conftest import OrgOf
from tests.emulator.orgs import error_of
from tests.emulator.plain_http import Client

# A describe recorded from a real org.
OBJECT_KEYS = """
actionOverrides activateable associateEntityType associateParentEntity childRelationships
compactLayoutable createable custom customSetting deepCloneable defaultImplementation
deletable deprecatedAndHidden extendedBy extendsInterfaces feedEnabled fields hasSubtypes
implementedBy implementsInterfaces isInterface isSubtype keyPrefix label labelPlural
layoutable listviewable lookupLayoutable mergeable mruEnabled name namedLayoutInfos
networkScopeFieldName queryable recordTypeInfos replicateable retrieveable searchLayoutable
searchable sobjectDescribeOption supportedScopes triggerable undeletable updateable urls
"""
FIELD_KEYS = """
aggregatable aiPredictionField autoNumber byteLength calculated calculatedFormula
cascadeDelete caseSensitive compoundFieldName controllerName createable custom defaultValue
defaultValueFormula defaultedOnCreate dependentPicklist deprecatedAndHidden digits
displayLocationInDecimal encrypted externalId extraTypeInfo filterable filteredLookupInfo
formulaTreatNullNumberAsZero groupable highScaleNumber htmlFormatted idLookup inlineHelpText
label length mask maskType name nameField namePointing nillable permissionable picklistValues
polymorphicForeignKey precision queryByDistance referenceTargetField referenceTo
relationshipName relationshipOrder restrictedDelete restrictedPicklist scale
searchPrefilterable soapType sortable type unique updateable writeRequiresMasterRead
"""
# Section 3.2: N nillable, C createable, U updateable, D defaulted on create, R restricted picklist.
FIELDS = """
Id                 id         18    ---D-
LastName           string     80    -CU--
FirstName          string     40    NCU--
Salutation         picklist   40    NCU--
Name               string     121   ---D-
Title              string     128   NCU--
Company            string     255   -CU--
Street             textarea   255   NCU--
City               string     40    NCU--
State              string     80    NCU--
PostalCode         string     20    NCU--
Country            string     80    NCU--
Latitude           double     0     NCU--
GeocodeAccuracy    picklist   40    NCU-R
Address            address    0     N----
Phone              phone      40    NCU--
MobilePhone        phone      40    NCU--
Fax                phone      40    NCU--
Email              email      80    NCU--
Website            url        255   NCU--
PhotoUrl           url        255   N----
Description        textarea   32000 NCU--
LeadSource         picklist   255   NCU--
Status             picklist   255   -CUD-
Industry           picklist   255   NCU--
Rating             picklist   255   NCU--
AnnualRevenue      currency   0     NCU--
NumberOfEmployees  int        0     NCU--
OwnerId            reference  18    -CUD-
HasOptedOutOfEmail boolean    0     -CUD-
HasOptedOutOfFax   boolean    0     -CUD-
IsConverted        boolean    0     -C-D-
IsUnreadByOwner    boolean    0     -CUD-
EmailBouncedReason string     255   N-U--
EmailBouncedDate   datetime   0     N-U--
Jigsaw             string     20    NCU--
CompanyDunsNumber  string     9     NCU--
CleanStatus        picklist   40    NCU-R
DandbCompanyId     reference  18    NCU--
JigsawContactId    string     20    N----
IndividualId       reference  18    NCU--
CreatedDate        datetime   0     ---D-
CreatedById        reference  18    ---D-
SystemModstamp     datetime   0     ---D-
"""
LETTERS = {
    "N": "nillable",
    "C": "createable",
    "U": "updateable",
    "D": "defaultedOnCreate",
    "R": "restrictedPicklist",
}


def described(org: Client, name: str = "Lead") -> Any:
    response = org.call("GET", f"/sobjects/{name}/describe/")
    assert response.status_code == 200
    return response.json()


def line_of(field: dict[str, Any]) -> list[str]:
    flags = "".join(letter if field[key] else "-" for letter, key in LETTERS.items())
    return [field["name"], field["type"], str(field["length"]), flags]


@pytest.mark.also_real_org
def test_12_describe_has_every_key_of_a_recorded_one(org: Client) -> None:
    lead = described(org)
    assert set(lead) >= set(OBJECT_KEYS.split())
    assert all(set(field) >= set(FIELD_KEYS.split()) for field in lead["fields"])
    assert (lead["name"], lead["keyPrefix"], lead["sobjectDescribeOption"]) == (
        "Lead",
        "00Q",
        "FULL",
    )


def test_12_and_no_key_more(org: Client) -> None:
    lead = described(org)
    assert set(lead) == set(OBJECT_KEYS.split())
    assert all(set(field) == set(FIELD_KEYS.split()) for field in lead["fields"])
    assert (lead["listviewable"], lead["lookupLayoutable"]) == (None, None)
    scopes = {scope["name"] for scope in lead["supportedScopes"]}
    assert scopes == {"everything", "mine", "queue_owned", "scopingRule", "team", "user_owned"}
    (master,) = lead["recordTypeInfos"]
    assert (master["recordTypeId"], master["master"]) == ("012000000000000AAA", True)


def test_12_the_fields_of_lead_are_measured_as_recorded(org: Client) -> None:
    shown = {field["name"]: line_of(field) for field in described(org)["fields"]}
    expected = [line.split() for line in FIELDS.strip().splitlines()]
    assert [shown[line[0]] for line in expected] == expected


@pytest.mark.also_real_org
def test_12_what_a_loader_depends_on(org: Client) -> None:
    fields = {field["name"]: field for field in described(org)["fields"]}
    company, email, owner = (fields[name] for name in ("Company", "Email", "OwnerId"))
    assert (company["length"], company["byteLength"], company["nillable"]) == (255, 765, False)
    assert (email["idLookup"], email["unique"], email["externalId"]) == (True, False, False)
    assert sorted(owner["referenceTo"]) == ["Group", "User"]
    assert (owner["relationshipName"], owner["polymorphicForeignKey"]) == ("Owner", True)
    assert fields["NumberOfEmployees"]["digits"] == 8
    assert fields["Description"]["filterable"] is False
    assert {value["active"] for value in fields["LeadSource"]["picklistValues"]} <= {True, False}


def test_12_a_custom_key_is_shown_as_one(org: Client) -> None:
    fields = {field["name"]: field for field in described(org)["fields"]}
    key = fields["Person_Id__c"]
    assert (key["custom"], key["unique"], key["externalId"], key["idLookup"]) == (True,) * 4
    assert fields["LeadSource"]["picklistValues"][0]["value"] == "Web"
    assert len(fields["Industry"]["picklistValues"]) == 32


@pytest.mark.also_real_org
def test_12_the_other_describes(org: Client) -> None:
    names = {one["name"] for one in org.call("GET", "/sobjects/").json()["sobjects"]}
    assert {"Lead", "Contact", "Account", "User", "Group", "QueueSobject"} <= names
    assert org.call("GET", "/sobjects/lead").json()["objectDescribe"]["name"] == "Lead"
    assert org.call("GET", "/sobjects/Nothing__c/describe").status_code == 404
    cached = {"If-Modified-Since": "Fri, 22 Nov 2126 00:00:00 GMT"}
    assert org.call("GET", "/sobjects/Lead/describe", headers=cached).status_code == 304


HIDDEN = """
[[hidden_field]]
object = "Lead"
name = "HasOptedOutOfEmail"
[[lead]]
LastName = "L"
Company = "C"
HasOptedOutOfEmail = true
"""


def test_12_a_hidden_field_is_in_no_describe_and_no_query(org_of: OrgOf) -> None:
    org = org_of(HIDDEN)
    assert "HasOptedOutOfEmail" not in {field["name"] for field in described(org)["fields"]}
    for soql in (
        "SELECT HasOptedOutOfEmail FROM Lead",
        "SELECT Id FROM Lead WHERE HasOptedOutOfEmail = true",
    ):
        rejected = error_of(org.query(soql))
        assert rejected["errorCode"] == "INVALID_FIELD"
        assert "No such column 'HasOptedOutOfEmail' on entity 'Lead'" in rejected["message"]


def test_12_a_hidden_field_cannot_be_written(org_of: OrgOf) -> None:
    org = org_of(HIDDEN)
    written = error_of(org.create(LastName="L", Company="C", HasOptedOutOfEmail=True))
    assert written["message"] == "No such column 'HasOptedOutOfEmail' on sobject of type Lead"
    loaded = org.load("LastName,Company,HasOptedOutOfEmail\nL,C,true\n")
    assert loaded.state == "Failed"
    assert loaded.info["errorMessage"].endswith("Field name not found : HasOptedOutOfEmail")


def test_12_a_checkbox_is_never_null(org_of: OrgOf) -> None:
    org = org_of('[[queue]]\ndeveloper_name = "Q"\n')
    for name in [one["name"] for one in org.call("GET", "/sobjects").json()["sobjects"]]:
        flags = [f["name"] for f in described(org, name)["fields"] if f["type"] == "boolean"]
        rows = org.rows(f"SELECT {', '.join(flags)} FROM {name}")
        assert all(value is not None for row in rows for value in row.values()), name
