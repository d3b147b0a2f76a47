"""Make records of persons: Salesforce columns of text, ready to be encoded and sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.rules.deduplication import match_key
from pipelines.rules.lead_fields import NUMBER_TYPES, LeadField
from pipelines.rules.partitions import Operation, SObject
from pipelines.rules.text import from_arrow, to_arrow

SAME_FIELDS = (
    "Salutation",
    "FirstName",
    "MiddleName",
    "LastName",
    "Suffix",
    "Title",
    "Email",
    "Phone",
    "MobilePhone",
    "Fax",
    "Description",
    "LeadSource",
    "DoNotCall",
    "HasOptedOutOfEmail",
    "HasOptedOutOfFax",
    "IndividualId",
)

# Lead field → Contact field. Fields that are not here either do not exist on Contact (Company,
# Industry …), or may mean something else there (custom fields).
CONTACT_FIELDS = {
    "Street": "MailingStreet",
    "City": "MailingCity",
    "State": "MailingState",
    "StateCode": "MailingStateCode",
    "PostalCode": "MailingPostalCode",
    "Country": "MailingCountry",
    "CountryCode": "MailingCountryCode",
    "Latitude": "MailingLatitude",
    "Longitude": "MailingLongitude",
    "GeocodeAccuracy": "MailingGeocodeAccuracy",
    **{name: name for name in SAME_FIELDS},
}
LEAD_FIELD_OF = {contact: lead for lead, contact in CONTACT_FIELDS.items()}

_NUMBER_PARTS = r"^(?P<sign>[+\-]?)(?P<whole>[0-9]*)(?:\.(?P<fraction>[0-9]+))?$"
_INSTANT_PARTS = (
    r"^(?P<day>[0-9\-]{10})[T ](?P<minute>[0-9:]{5})"
    r"(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]+))?)?"
    r"(?:Z|(?P<hours>[+\-][0-9]{2})(?::?(?P<minutes>[0-9]{2}))?)?$"
)


class RecordsMalformedError(ValueError):
    """These persons cannot be sent in one batch: a defect of the caller."""


def to_records(
    persons: pd.DataFrame,
    columns: Mapping[str, str],
    lead_fields: Mapping[str, LeadField],
    *,
    sobject: SObject,
    operation: Operation,
    person_id_field: str,
) -> pd.DataFrame:
    """Return the Salesforce columns of these persons, all text; row by row, index kept.

    Columns, in this order:

        Id                  for updates: lead_id or contact_id
        mapped fields       in the mapping's order
        OwnerId             where persons have an owner; a contact keeps its own
        person_id_field     for inserted leads, unless it is ""

    A contact gets the fields that it has, addresses as Mailing…. A column that is null for all
    persons is left out.

    Values: e-mail in lower case, plain numbers, true or false, instants with milliseconds and a
    zone. Expects validated persons. Raise RecordsMalformedError for an update without an id, and
    for owners together with an assignment rule, which would override them.
    """
    records: dict[str, pd.Series] = {}
    if operation == "update":
        records["Id"] = _ids(persons, sobject)
    for field, column in columns.items():
        name = CONTACT_FIELDS.get(field) if sobject == "Contact" else field
        if name is not None:
            records[name] = _FORMATS.get(lead_fields[field].type, _unchanged)(persons[column])
    if sobject == "Lead":
        records["OwnerId"] = _owners(persons)
        if operation == "insert" and person_id_field:
            records[person_id_field] = persons["person_id"]
    frame = pd.DataFrame(records, index=persons.index)
    return frame.loc[:, frame.notna().any(axis=0) | (len(frame) == 0)]


def _ids(persons: pd.DataFrame, sobject: SObject) -> pd.Series:
    ids = persons["lead_id" if sobject == "Lead" else "contact_id"]
    if ids.isna().any():
        raise RecordsMalformedError(f"A {sobject} to be updated has no id.")
    return ids


def _owners(persons: pd.DataFrame) -> pd.Series:
    owners = persons["owner_id"]
    rules = persons.get("assignment_rule_id", owners.iloc[:0])
    if owners.notna().any() and rules.notna().any():
        raise RecordsMalformedError("An assignment rule would override the owners that are given.")
    return owners


def _unchanged(cells: pd.Series) -> pd.Series:
    return cells


def _plain_numbers(cells: pd.Series) -> pd.Series:
    """Return +007.50 as 7.5: both Salesforce's CSV reader and JSON take that for a number."""
    parts = pc.extract_regex(to_arrow(cells), _NUMBER_PARTS)
    whole = pc.utf8_ltrim(parts.field("whole"), "0")
    whole = pc.if_else(pc.equal(whole, ""), "0", whole)
    fraction = pc.utf8_rtrim(parts.field("fraction"), "0")
    point = pc.if_else(pc.equal(fraction, ""), "", ".")
    nothing = pc.and_(pc.equal(whole, "0"), pc.equal(fraction, ""))
    negative = pc.and_(pc.equal(parts.field("sign"), "-"), pc.invert(nothing))
    sign = pc.if_else(negative, "-", "")
    return _null_where_null(join_texts(sign, whole, point, fraction), cells)


def _booleans(cells: pd.Series) -> pd.Series:
    return cells.str.lower().replace({"1": "true", "0": "false"})


def _instants(cells: pd.Series) -> pd.Series:
    """Return 2026-01-31 18:30+01 as 2026-01-31T18:30:00.000+01:00; without a zone it is UTC."""
    parts = pc.extract_regex(to_arrow(cells), _INSTANT_PARTS)
    second, hours = _or_zeros(parts.field("second")), parts.field("hours")
    fraction = pc.utf8_slice_codeunits(join_texts(_or_zeros(parts.field("fraction")), "000"), 0, 3)
    offset = join_texts(hours, ":", _or_zeros(parts.field("minutes")))
    zone = pc.if_else(pc.equal(hours, ""), "Z", offset)
    day, minute = parts.field("day"), parts.field("minute")
    joined = join_texts(day, "T", minute, ":", second, ".", fraction, zone)
    return _null_where_null(joined, cells)


def _or_zeros(part: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(part, ""), "00", part)


def join_texts(*parts: pa.Array | str) -> pa.Array:
    """Return the parts joined row by row."""
    texts = [pa.scalar(p) if isinstance(p, str) else p for p in (*parts, "")]
    return pc.binary_join_element_wise(*(text.cast(pa.large_string()) for text in texts))


def _null_where_null(joined: pa.Array, cells: pd.Series) -> pd.Series:
    # The parts of a null are empty texts, not nulls: a blank number would be sent as 0.
    return from_arrow(joined, cells.index).where(cells.notna())


_FORMATS: Mapping[str, Callable[[pd.Series], pd.Series]] = {
    "email": match_key,  # Salesforce stores it lower-cased
    "boolean": _booleans,
    "datetime": _instants,
    **dict.fromkeys(NUMBER_TYPES, _plain_numbers),
}
