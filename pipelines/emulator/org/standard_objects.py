"""The standard sObjects and fields of a new org, as recorded describes show them (§3.2, §3.3)."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pipelines.emulator.org.schema import Field, SObject

LEAD_SOURCES = ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other")
LEAD_STATUSES = (
    "Open - Not Contacted",
    "Working - Contacted",
    "Closed - Converted",
    "Closed - Not Converted",
)
SALUTATIONS = ("Mr.", "Ms.", "Mrs.", "Dr.", "Prof.", "Mx.")
RATINGS = ("Hot", "Warm", "Cold")
GEOCODE_ACCURACIES = (
    "Address",
    "NearAddress",
    "Block",
    "Street",
    "ExtendedZip",
    "Zip",
    "Neighborhood",
    "City",
    "County",
    "State",
    "Unknown",
)
CLEAN_STATUSES = ("Matched", "Different", "Acknowledged", "NotFound", "Inactive", "Pending")
USER_TYPES = ("Standard", "PowerPartner", "CspLitePortal", "CustomerSuccess", "CsnOnly", "Guest")
INDUSTRIES = (
    "Agriculture",
    "Apparel",
    "Banking",
    "Biotechnology",
    "Chemicals",
    "Communications",
    "Construction",
    "Consulting",
    "Education",
    "Electronics",
    "Energy",
    "Engineering",
    "Entertainment",
    "Environmental",
    "Finance",
    "Food & Beverage",
    "Government",
    "Healthcare",
    "Hospitality",
    "Insurance",
    "Machinery",
    "Manufacturing",
    "Media",
    "Not For Profit",
    "Other",
    "Recreation",
    "Retail",
    "Shipping",
    "Technology",
    "Telecommunications",
    "Transportation",
    "Utilities",
)


def text(name: str, label: str, length: int, type_: str = "string", **more: Any) -> Field:
    """A text field of any kind."""
    return replace(Field(name, label, type_, length), **more)


def picklist(name: str, label: str, values: tuple[str, ...], **more: Any) -> Field:
    """A picklist; unrestricted unless said, so an unknown value passes (ten facts, 6)."""
    return replace(Field(name, label, "picklist", 255, picklist=values), **more)


def flag(name: str, label: str, **more: Any) -> Field:
    """A checkbox: never null, false unless said."""
    made = Field(name, label, "boolean", nillable=False, defaulted=True, default=0)
    return replace(made, **more)


def reference(name: str, label: str, *to: str, relationship: str | None, **more: Any) -> Field:
    """A look-up to one or several sObjects."""
    made = Field(name, label, "reference", 18, reference_to=to, relationship=relationship)
    return replace(made, **more)


def read_only(made: Field) -> Field:
    """The same field, which no request may write."""
    return replace(made, createable=False, updateable=False)


def system_fields() -> list[Field]:
    """Id, deletion and audit fields, which every record has and no request may write."""
    moment = Field("", "", "datetime", nillable=False, defaulted=True)
    fields = [
        text("Id", "Record ID", 18, "id", nillable=False, defaulted=True, id_lookup=True),
        flag("IsDeleted", "Deleted"),
        replace(moment, name="CreatedDate", label="Created Date"),
        reference("CreatedById", "Created By ID", "User", relationship="CreatedBy", nillable=False),
        replace(moment, name="LastModifiedDate", label="Last Modified Date"),
        reference(
            "LastModifiedById",
            "Last Modified By ID",
            "User",
            relationship="LastModifiedBy",
            nillable=False,
        ),
        replace(moment, name="SystemModstamp", label="System Modstamp"),
    ]
    return [replace(read_only(f), defaulted=True) for f in fields]


def owner(*to: str) -> Field:
    """OwnerId; only objects that list Group can be owned by a queue."""
    return reference(
        "OwnerId", "Owner ID", *to, relationship="Owner", nillable=False, defaulted=True
    )


def person_fields() -> list[Field]:
    """What Lead and Contact share: the parts of a name and the ways to reach somebody."""
    return [
        text("LastName", "Last Name", 80, nillable=False, compound="Name"),
        text("FirstName", "First Name", 40, compound="Name"),
        picklist("Salutation", "Salutation", SALUTATIONS, length=40, compound="Name"),
        read_only(text("Name", "Full Name", 121, name_field=True, nillable=False, defaulted=True)),
        text("Title", "Title", 128),
        text("Phone", "Phone", 40, "phone"),
        text("MobilePhone", "Mobile Phone", 40, "phone"),
        text("Fax", "Fax", 40, "phone"),
        text("Email", "Email", 80, "email", id_lookup=True),
        picklist("LeadSource", "Lead Source", LEAD_SOURCES),
        # Description is neither filterable nor sortable: a WHERE on it is refused, as in the org.
        text("Description", "Description", 32000, "textarea", filterable=False),
    ]


def address_fields(prefix: str, label: str, compound: str) -> list[Field]:
    """The parts of an address, and the compound that only reads."""
    parts = [
        text(f"{prefix}Street", f"{label}Street", 255, "textarea"),
        text(f"{prefix}City", f"{label}City", 40),
        text(f"{prefix}State", f"{label}State/Province", 80),
        text(f"{prefix}PostalCode", f"{label}Zip/Postal Code", 20),
        text(f"{prefix}Country", f"{label}Country", 80),
        Field(f"{prefix}Latitude", f"{label}Latitude", "double", precision=18, scale=15),
        Field(f"{prefix}Longitude", f"{label}Longitude", "double", precision=18, scale=15),
        picklist(
            f"{prefix}GeocodeAccuracy",
            f"{label}Geocode Accuracy",
            GEOCODE_ACCURACIES,
            length=40,
            restricted=True,
        ),
    ]
    whole = read_only(Field(compound, f"{label}Address".strip(), "address", filterable=False))
    return [*(replace(part, compound=compound) for part in parts), whole]


@functools.cache
def lead_fields() -> list[Field]:
    """Lead as a marketing load meets it (§3.2)."""
    return [
        *system_fields(),
        *person_fields(),
        text("Company", "Company", 255, nillable=False),
        *address_fields("", "", "Address"),
        text("Website", "Website", 255, "url"),
        read_only(text("PhotoUrl", "Photo URL", 255, "url")),
        picklist(
            "Status",
            "Status",
            LEAD_STATUSES,
            nillable=False,
            defaulted=True,
            default=LEAD_STATUSES[0],
        ),
        picklist("Industry", "Industry", INDUSTRIES),
        picklist("Rating", "Rating", RATINGS),
        Field("AnnualRevenue", "Annual Revenue", "currency", precision=18),
        Field("NumberOfEmployees", "Employees", "int", precision=8),
        owner("Group", "User"),
        flag("HasOptedOutOfEmail", "Email Opt Out"),
        flag("HasOptedOutOfFax", "Fax Opt Out"),
        flag("DoNotCall", "Do Not Call"),
        flag("IsConverted", "Converted", updateable=False),
        read_only(Field("ConvertedDate", "Converted Date", "date")),
        *(
            read_only(
                reference(
                    f"Converted{what}Id",
                    f"Converted {what} ID",
                    what,
                    relationship=f"Converted{what}",
                )
            )
            for what in ("Account", "Contact", "Opportunity")
        ),
        flag("IsUnreadByOwner", "Unread By Owner", default=1),
        text("EmailBouncedReason", "Email Bounced Reason", 255, createable=False),
        Field("EmailBouncedDate", "Email Bounced Date", "datetime", createable=False),
        text("Jigsaw", "Data.com Key", 20),
        text("CompanyDunsNumber", "Company D-U-N-S Number", 9),
        reference("DandbCompanyId", "D&B Company ID", "DandBCompany", relationship="DandbCompany"),
        read_only(text("JigsawContactId", "Jigsaw Contact ID", 20)),
        reference("IndividualId", "Individual ID", "Individual", relationship="Individual"),
        picklist("CleanStatus", "Clean Status", CLEAN_STATUSES, length=40, restricted=True),
        read_only(Field("LastActivityDate", "Last Activity", "date")),
        read_only(Field("LastViewedDate", "Last Viewed Date", "datetime")),
        read_only(Field("LastReferencedDate", "Last Referenced Date", "datetime")),
        read_only(
            reference("MasterRecordId", "Master Record ID", "Lead", relationship="MasterRecord")
        ),
    ]


@functools.cache
def contact_fields() -> list[Field]:
    """Contact; its OwnerId takes users only, no queue can ever own one (§5.4)."""
    return [
        *system_fields(),
        *person_fields(),
        reference("AccountId", "Account ID", "Account", relationship="Account"),
        text("Department", "Department", 80),
        text("HomePhone", "Home Phone", 40, "phone"),
        *address_fields("Mailing", "Mailing ", "MailingAddress"),
        owner("User"),
        flag("HasOptedOutOfEmail", "Email Opt Out"),
        read_only(flag("IsEmailBounced", "Is Email Bounced")),
        read_only(Field("LastActivityDate", "Last Activity", "date")),
    ]


@functools.cache
def account_fields() -> list[Field]:
    """Account, as far as finding its owner by web domain needs."""
    return [
        *system_fields(),
        text("Name", "Account Name", 255, name_field=True, nillable=False),
        picklist("Type", "Account Type", ("Prospect", "Customer - Direct", "Other")),
        text("Phone", "Account Phone", 40, "phone"),
        text("Website", "Website", 255, "url"),
        *address_fields("Billing", "Billing ", "BillingAddress"),
        picklist("Industry", "Industry", INDUSTRIES),
        Field("AnnualRevenue", "Annual Revenue", "currency", precision=18),
        Field("NumberOfEmployees", "Employees", "int", precision=8),
        text("Description", "Account Description", 32000, "textarea", filterable=False),
        owner("User"),
    ]


def user_fields() -> list[Field]:
    """User; Email is not unique, Username is, and is stored in lower case."""
    return [
        *system_fields(),
        text("Username", "Username", 80, nillable=False, id_lookup=True, unique=True),
        text("LastName", "Last Name", 80, nillable=False),
        text("FirstName", "First Name", 40),
        text("Name", "Full Name", 121, name_field=True, nillable=False),
        text("Email", "Email", 128, "email", nillable=False, id_lookup=True),
        text("Alias", "Alias", 8, nillable=False),
        text("CommunityNickname", "Nickname", 40),
        text("FederationIdentifier", "SAML Federation ID", 512, id_lookup=True),
        text("EmployeeNumber", "Employee Number", 20),
        text("Title", "Title", 80),
        text("Phone", "Phone", 40, "phone"),
        flag("IsActive", "Active", default=1),
        picklist("UserType", "User Type", USER_TYPES, length=40, restricted=True),
        reference("ProfileId", "Profile ID", "Profile", relationship="Profile"),
        reference("UserRoleId", "Role ID", "UserRole", relationship="UserRole"),
        reference("ManagerId", "Manager ID", "User", relationship="Manager"),
    ]


def group_fields() -> list[Field]:
    """Group; a queue is a Group whose Type is Queue."""
    return [
        *system_fields(),
        text("Name", "Name", 40, name_field=True, nillable=False, id_lookup=True),
        text("DeveloperName", "Developer Name", 80),
        picklist("Type", "Type", ("Queue", "Regular", "Role"), length=40),
        text("Email", "Email", 255, "email"),
        flag("DoesSendEmailToMembers", "Send Email to Members"),
        reference("RelatedId", "Related ID", "User", relationship="Related"),
    ]


@functools.cache
def setup_objects() -> list[SObject]:
    """The objects a loader only reads: who is there, what queues serve, which rules exist."""
    return [
        SObject("User", "User", "Users", "005", tuple(user_fields())),
        SObject("Group", "Group", "Groups", "00G", tuple(group_fields())),
        _setup(
            "QueueSobject",
            "03g",
            reference("QueueId", "Group ID", "Group", relationship="Queue"),
            picklist("SobjectType", "Sobject Type", ("Lead", "Case"), length=40),
        ),
        _setup(
            "GroupMember",
            "011",
            reference("GroupId", "Group ID", "Group", relationship="Group"),
            reference(
                "UserOrGroupId", "User/Group ID", "Group", "User", relationship="UserOrGroup"
            ),
        ),
        _setup(
            "AssignmentRule",
            "01Q",
            text("Name", "Name", 120, name_field=True),
            picklist("SobjectType", "SObject Type", ("Case", "Lead"), length=40),
            flag("Active", "Active"),
        ),
        _setup(
            "Organization",
            "00D",
            text("Name", "Name", 80, name_field=True),
            flag("IsSandbox", "Is Sandbox"),
            text("InstanceName", "Instance Name", 5),
            text("NamespacePrefix", "Namespace Prefix", 15),
            # sf asks for it before every command; an org that is no trial has none.
            Field("TrialExpirationDate", "Trial Expiration Date", "datetime"),
            picklist("OrganizationType", "Edition", ("Enterprise Edition",), length=40),
            picklist("DefaultLeadAccess", "Default Lead Access", ("ReadEditTransfer",), length=40),
        ),
        _setup(
            "RecordType",
            "012",
            text("Name", "Name", 80, name_field=True, id_lookup=True),
            text("DeveloperName", "Developer Name", 80),
            text("NamespacePrefix", "Namespace Prefix", 15),
            picklist("SobjectType", "SObject Type Name", ("Lead",), length=40),
            flag("IsActive", "Active", default=1),
        ),
        _setup(
            "LeadStatus",
            "01J",
            text("ApiName", "API Name", 255),
            text("MasterLabel", "Master Label", 255, name_field=True),
            flag("IsConverted", "Is Converted"),
            flag("IsDefault", "Is Default"),
            Field("SortOrder", "Sort Order", "int", precision=9),
        ),
    ]


def policy_objects() -> list[SObject]:
    """Who may do what, and the rules about duplicates: read-only, as all set-up is here."""
    return [
        _setup(
            "Profile",
            "00e",
            text("Name", "Name", 255, name_field=True),
            picklist("UserType", "User Type", USER_TYPES, length=40, restricted=True),
        ),
        _setup(
            "UserRole",
            "00E",
            text("Name", "Name", 80, name_field=True),
            text("DeveloperName", "Developer Name", 80),
            reference("ParentRoleId", "Parent Role ID", "UserRole", relationship="ParentRole"),
        ),
        _setup(
            "DuplicateRule",
            "0Bm",
            text("DeveloperName", "Object Name", 80),
            text("MasterLabel", "Rule Name", 80, name_field=True),
            picklist("SobjectType", "Object", ("Lead", "Contact"), length=40),
            picklist("SobjectSubtype", "Object Subtype", ("None",), length=40),
            picklist("Language", "Language", ("en_US",), length=40),
            flag("IsActive", "Active", default=1),
        ),
    ]


def _setup(name: str, prefix: str, *fields: Field) -> SObject:
    return SObject(name, name, f"{name}s", prefix, (*system_fields(), *map(read_only, fields)))


def business_objects(custom: dict[str, list[Field]]) -> list[SObject]:
    """The objects a loader writes, with the custom fields of this org."""
    made: Iterable[tuple[str, str, str, list[Field]]] = (
        ("Lead", "Leads", "00Q", lead_fields()),
        ("Contact", "Contacts", "003", contact_fields()),
        ("Account", "Accounts", "001", account_fields()),
    )
    return [
        SObject(name, name, plural, prefix, (*fields, *custom.get(name, ())), writable=True)
        for name, plural, prefix, fields in made
    ]
