"""What the lead looks like: persons become Salesforce columns, and these become bytes to send."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from pipelines.rules.deduplication import match_key
from pipelines.rules.lead_fields import NUMBER_TYPES, LeadField
from pipelines.rules.partitions import Operation, SObject
from pipelines.rules.text import as_text, from_arrow, to_arrow

HASH_LENGTH = 32  # hex digits
ROWS_AT_ONCE = 10_000

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

# Lead field → Contact field. What is not here a Contact does not have (Company, Industry …), or
# nobody can tell that it means the same there (custom fields).
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
_LEAD_FIELDS = {contact: lead for lead, contact in CONTACT_FIELDS.items()}

_NUMBER_PARTS = r"^(?P<sign>[+\-]?)(?P<whole>[0-9]*)(?:\.(?P<fraction>[0-9]+))?$"
_INSTANT_PARTS = (
    r"^(?P<day>[0-9\-]{10})[T ](?P<minute>[0-9:]{5})"
    r"(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]+))?)?"
    r"(?:Z|(?P<hours>[+\-][0-9]{2})(?::?(?P<minutes>[0-9]{2}))?)?$"
)


class RecordsMalformed(ValueError):
    """These persons cannot be sent in one batch as asked: a fault of the caller."""


def to_records(
    persons: pd.DataFrame,
    columns: Mapping[str, str],
    lead_fields: Mapping[str, LeadField],
    *,
    sobject: SObject,
    operation: Operation,
    person_id_field: str,
) -> pd.DataFrame:
    """The Salesforce columns of these persons, all text, ready to send; row by row, index kept.

    Id comes first for updates (lead_id or contact_id), then the mapped fields in the mapping's
    order, then OwnerId where persons have an owner (leads only: a contact keeps its own), then
    `person_id_field` for inserted leads unless that is "". A contact gets the fields it has,
    addresses as Mailing…; columns null for everybody are left out, so an update never blanks a
    field. E-mail is lower-cased, numbers are plain, booleans true or false, instants UTC with
    milliseconds. Expects screened persons. Raises RecordsMalformed for an update without an id, and
    for owners beside an assignment rule, which would override them.
    """
    records: dict[str, pd.Series] = {}
    if operation == "update":
        records["Id"] = _ids(persons, sobject)
    for field, column in columns.items():
        name = CONTACT_FIELDS.get(field) if sobject == "Contact" else field
        if name is not None:
            records[name] = _RENDERED.get(lead_fields[field].type, _as_is)(persons[column])
    if sobject == "Lead":
        records["OwnerId"] = _owners(persons)
        if operation == "insert" and person_id_field:
            records[person_id_field] = persons["person_id"]
    frame = pd.DataFrame(records, index=persons.index)
    return frame.loc[:, frame.notna().any(axis=0) | (len(frame) == 0)]


def _ids(persons: pd.DataFrame, sobject: SObject) -> pd.Series:
    ids = persons["lead_id" if sobject == "Lead" else "contact_id"]
    if ids.isna().any():
        raise RecordsMalformed(f"A {sobject} to be updated has no id.")
    return ids


def _owners(persons: pd.DataFrame) -> pd.Series:
    owners = persons["owner_id"]
    rules = persons.get("assignment_rule_id", owners.iloc[:0])
    if owners.notna().any() and rules.notna().any():
        raise RecordsMalformed("An assignment rule would override the owners given beside it.")
    return owners


def _as_is(cells: pd.Series) -> pd.Series:
    return cells


def _plain_numbers(cells: pd.Series) -> pd.Series:
    """+007.50 → 7.5: what the Salesforce CSV reader and JSON both take as a number."""
    parts = pc.extract_regex(to_arrow(cells), _NUMBER_PARTS)
    whole = pc.utf8_ltrim(parts.field("whole"), "0")
    whole = pc.if_else(pc.equal(whole, ""), "0", whole)
    fraction = pc.utf8_rtrim(parts.field("fraction"), "0")
    point = pc.if_else(pc.equal(fraction, ""), "", ".")
    nothing = pc.and_(pc.equal(whole, "0"), pc.equal(fraction, ""))
    negative = pc.and_(pc.equal(parts.field("sign"), "-"), pc.invert(nothing))
    sign = pc.if_else(negative, "-", "")
    return _left_join(_join(sign, whole, point, fraction), cells)


def _truths(cells: pd.Series) -> pd.Series:
    return cells.str.lower().replace({"1": "true", "0": "false"})


def _instants(cells: pd.Series) -> pd.Series:
    """2026-01-31 18:30+01 → 2026-01-31T18:30:00.000+01:00; without a zone it is UTC."""
    parts = pc.extract_regex(to_arrow(cells), _INSTANT_PARTS)
    second, hours = _or_zeros(parts.field("second")), parts.field("hours")
    fraction = pc.utf8_slice_codeunits(_join(_or_zeros(parts.field("fraction")), "000"), 0, 3)
    offset = _join(hours, ":", _or_zeros(parts.field("minutes")))
    zone = pc.if_else(pc.equal(hours, ""), "Z", offset)
    day, minute = parts.field("day"), parts.field("minute")
    joined = _join(day, "T", minute, ":", second, ".", fraction, zone)
    return _left_join(joined, cells)


def _or_zeros(part: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(part, ""), "00", part)


def _join(*parts: pa.Array | str) -> pa.Array:
    texts = [pa.scalar(p) if isinstance(p, str) else p for p in (*parts, "")]
    return pc.binary_join_element_wise(*(text.cast(pa.large_string()) for text in texts))


def _left_join(joined: pa.Array, cells: pd.Series) -> pd.Series:
    # The parts of a null are empty texts, not nulls: a blank number would be sent as 0.
    return from_arrow(joined, cells.index).where(cells.notna())


_RENDERED: Mapping[str, Callable[[pd.Series], pd.Series]] = {
    "email": match_key,  # Salesforce stores it lower-cased
    "boolean": _truths,
    "datetime": _instants,
    **dict.fromkeys(NUMBER_TYPES, _plain_numbers),
}


def row_hashes(records: pd.DataFrame, lead_fields: Mapping[str, LeadField]) -> pd.Series:
    """32 hex digits of each row as sent, and the same of the row as a results file gives it.

    Over the columns sorted by name and the cells that are neither null nor "", so that a results
    file (all text) gives the same. Left out: numbers and instants, because Salesforce echoes those
    re-typed (912260031 comes back as 9.12260031E8), and the `sf__` columns that it adds. Equal rows
    have equal hashes.
    """
    names = sorted(name for name in records.columns if _is_echoed(name, lead_fields))
    pieces = [piece for name in names for piece in _signed(name, records[name])]
    if not pieces:
        return as_text([_digest(b"")] * len(records), records.index)
    joined = pc.binary_join_element_wise(*pieces, _text(""), null_handling="skip")
    rows = joined.cast(pa.large_binary())
    # A stretch at a time: as Python objects the rows of a slice are larger than all else of it.
    stretches = (rows.slice(first, ROWS_AT_ONCE) for first in range(0, len(rows), ROWS_AT_ONCE))
    hashes = [_digest(row) for stretch in stretches for row in stretch.to_pylist()]
    return as_text(pa.array(hashes, pa.large_string()).to_pandas().array, records.index)


def _is_echoed(name: str, lead_fields: Mapping[str, LeadField]) -> bool:
    field = lead_fields.get(_LEAD_FIELDS.get(name, name)) or lead_fields.get(name)
    retyped = field is not None and field.type in NUMBER_TYPES | {"datetime"}
    return not retyped and not name.startswith("sf__")


def _signed(name: str, cells: pd.Series) -> list[pa.Array | pa.Scalar]:
    """The column between its name and a separator, to be joined row by row; nothing where null."""
    column = to_arrow(cells).cast(pa.large_string())
    if pc.any(pc.equal(column, "")).as_py():
        column = pc.if_else(pc.equal(column, ""), None, column)
    # Separators that no screened cell can hold keep (a, bc) apart from (ab, c).
    pieces = [_text(f"{name}\x1f"), column, _text("\x1e")]
    return [_join(f"{name}\x1f", column, "\x1e")] if column.null_count else pieces


def _text(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())


def _digest(row: bytes) -> str:
    return hashlib.blake2b(row, digest_size=HASH_LENGTH // 2).hexdigest()


def loads(records: pd.DataFrame, *, most_rows: int, most_bytes: int) -> Iterator[tuple[int, int]]:
    """Cut the records into what one upload may hold: first row and the row after the last of each.

    By rows, and by the bytes their CSV has at the most, were every character of it a quote. A row
    larger than `most_bytes` travels alone.
    """
    sizes = np.full(len(records), 3 * len(records.columns) + 1, dtype="int64")
    for column in records:
        lengths = pc.binary_length(to_arrow(records[column]).cast(pa.large_string()))
        sizes += 2 * lengths.fill_null(0).to_numpy().astype("int64")
    ends = np.cumsum(sizes)
    first = 0
    while first < len(records):
        before = ends[first - 1] if first else 0
        fitting = int(np.searchsorted(ends, before + most_bytes, side="right"))
        last = min(max(fitting, first + 1), first + most_rows)
        yield first, last
        first = last


def encode_csv(records: pd.DataFrame) -> bytes:
    """The records as Bulk API 2.0 wants them: UTF-8 without a mark, commas, LF, header first.

    Every cell that is not null is quoted: unquoted, a bare carriage return ends a row for some
    readers. Null is empty, which Salesforce takes as "not set". The same frame gives the same
    bytes.
    """
    table = pa.Table.from_pandas(records, preserve_index=False)
    sink = io.BytesIO()
    pa.csv.write_csv(table, sink, pa.csv.WriteOptions(quoting_style="all_valid"))
    return sink.getvalue()


def to_json_records(
    records: pd.DataFrame, sobject: SObject, lead_fields: Mapping[str, LeadField]
) -> list[dict[str, Any]]:
    """The records as sObject collections want them: typed by `attributes`, nulls left out.

    Numbers are JSON numbers and booleans JSON booleans. For the few that travel so (200 a call).
    """
    readers = {str(name): _reader(str(name), lead_fields) for name in records.columns}
    rows = records.astype(object).where(records.notna(), None).to_dict("records")
    return [
        {"attributes": {"type": sobject}}
        | {str(name): readers[str(name)](cell) for name, cell in row.items() if cell is not None}
        for row in rows
    ]


def _reader(name: str, lead_fields: Mapping[str, LeadField]) -> Callable[[str], Any]:
    field = lead_fields.get(_LEAD_FIELDS.get(name, name)) or lead_fields.get(name)
    if field is not None and field.type in NUMBER_TYPES | {"boolean"}:
        return json.loads  # 12, 7.5, true: plain forms are JSON already
    return str


@dataclass(frozen=True)
class Payload:
    """What a batch sends: `records` are the rows, `person_ids` whose they are, in one order."""

    person_ids: pd.Series[str]
    records: pd.DataFrame
    row_hashes: pd.Series[str]

    def stretch(self, first: int, last: int) -> Payload:
        """The same from row `first` to the row before `last`."""
        return Payload(
            self.person_ids.iloc[first:last].reset_index(drop=True),
            self.records.iloc[first:last].reset_index(drop=True),
            self.row_hashes.iloc[first:last].reset_index(drop=True),
        )

    def keep(self, is_kept: pd.Series[bool]) -> Payload:
        """The same with these persons only."""
        return Payload(
            self.person_ids[is_kept].reset_index(drop=True),
            self.records[is_kept].reset_index(drop=True),
            self.row_hashes[is_kept].reset_index(drop=True),
        )
