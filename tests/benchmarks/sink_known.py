"""Leads that the sink's org had before: any number of them, made by arithmetic when they are asked
for, so that they cost next to nothing and no memory. There is never a contact.

The first of them, a share that is said, bear the e-mails of the benchmark's persons; the others
bear nobody's. All were made and last changed long before any benchmark, and none is deleted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tests.benchmarks import crowds, sink_org
from tests.benchmarks.sink_files import record_ids

FIRST_NUMBER = 500_000_000_000  # far from the ids of bulk jobs and of collections
MADE_AT = "2025-06-01T00:00:00.000Z"

_PERSON = re.compile(r"'person\.(\d+)@company\d+\.example'", re.IGNORECASE)


@dataclass(frozen=True)
class KnownLeads:
    """So many leads, of which a share bears e-mails of persons."""

    num_rows: int = 0
    share: float = 0.0

    @property
    def person_count(self) -> int:
        """How many bear the e-mail of a person; the number of the lead is that of the person."""
        return int(self.num_rows * self.share)

    def slice(self, first: int, count: int) -> pa.Table:
        """So many of them from `first` on, with every field that is not blank."""
        numbers = np.arange(first, min(first + count, self.num_rows), dtype=np.int64)
        texts = pa.array(numbers).cast(pa.string())
        others = pc.binary_join_element_wise("known.", texts, "@elsewhere.example", "")
        emails = pc.if_else(pa.array(numbers < self.person_count), crowds.emails(numbers), others)
        ids = record_ids(FIRST_NUMBER + first, len(numbers)).cast(pa.large_string())
        return pa.table({"Id": ids.cast(pa.string()), "Email": emails})

    def find(self, soql: str) -> list[dict[str, Any]]:
        """Those with one of the e-mails that a query names."""
        numbers = sorted({int(found) for found in _PERSON.findall(soql)})
        found = [self.slice(number, 1) for number in numbers if number < self.person_count]
        return [
            {
                "Id": lead["Id"][0].as_py(),
                "Email": lead["Email"][0].as_py(),
                "OwnerId": sink_org.DEFAULT_OWNER,
                "CreatedDate": MADE_AT.replace("Z", "+0000"),
                "IsDeleted": False,
                "IsConverted": False,
                "ConvertedContactId": None,
                "Person_Id__c": None,
            }
            for lead in found
        ]


@dataclass(frozen=True)
class Leads:
    """The answer to a bulk query: known leads and those made since, as a table that is never whole.

    `made`: a table with all `fields`.
    """

    fields: list[str]
    known: KnownLeads
    made: pa.Table

    @property
    def num_rows(self) -> int:
        """How many there are."""
        return self.known.num_rows + int(self.made.num_rows)

    def slice(self, first: int, count: int) -> pa.Table:
        """So many of them from `first` on."""
        known = self._whole(self.known.slice(first, count))
        rest = count - known.num_rows
        made = self.made.slice(max(0, first - self.known.num_rows), rest)
        return pa.concat_tables([known, made])

    def _whole(self, known: pa.Table) -> pa.Table:
        same = {
            "OwnerId": sink_org.DEFAULT_OWNER,
            "CreatedDate": MADE_AT,
            "IsDeleted": "false",
            "IsConverted": "false",
        }
        columns = [
            known[name] if name in known.column_names else pa.repeat(same.get(name, ""), len(known))
            for name in self.fields
        ]
        return pa.table(columns, names=self.fields)
