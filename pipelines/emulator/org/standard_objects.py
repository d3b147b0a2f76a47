"""Lead, Contact and Account with the standard fields of a new org, as recorded describes show
them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import replace

from pipelines.emulator.org.field_definitions import (
    flag,
    owner,
    picklist,
    read_only,
    reference,
    system_fields,
    text,
)
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


def person_fields() -> list[Field]:
    """Return the fields that Lead and Contact share: names and contact data."""
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
        # Description is neither filterable nor sortable: the org rejects a WHERE on it.
        text("Description", "Description", 32000, "textarea", filterable=False),
    ]


def address_fields(prefix: str, label: str, compound: str) -> list[Field]:
    """Return the parts of an address, and the read-only compound field."""
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
    """Return the fields of Lead."""
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
    """Return the fields of Contact. Its OwnerId accepts users only, never a queue."""
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
    """Return the fields of Account."""
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


def business_objects(custom: dict[str, list[Field]]) -> list[SObject]:
    """Return the writable objects, with the custom fields of this org."""
    made: Iterable[tuple[str, str, str, list[Field]]] = (
        ("Lead", "Leads", "00Q", lead_fields()),
        ("Contact", "Contacts", "003", contact_fields()),
        ("Account", "Accounts", "001", account_fields()),
    )
    return [
        SObject(name, name, plural, prefix, (*fields, *custom.get(name, ())), writable=True)
        for name, plural, prefix, fields in made
    ]
