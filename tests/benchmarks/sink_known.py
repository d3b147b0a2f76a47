"""Leads that the sink's org has from the start.

They are computed when a query needs them, so any number of them takes almost no time or memory.
The first ones, a given share, have the e-mails of the benchmark's persons. All were created and
last changed before any benchmark. None is deleted, and there are no contacts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tests.benchmarks import population, sink_org
from tests.benchmarks.sink_files import record_ids

FIRST_NUMBER = 500_000_000_000  # far from the ids of bulk jobs and of collections
CREATED_AT = "2025-06-01T00:00:00.000Z"

_PERSON = re.compile(r"'person\.(\d+)@company\d+\.example'", re.IGNORECASE)


@dataclass(frozen=True)
class KnownLeads:
    """`num_rows` leads; a share of them has e-mails of persons."""

    num_rows: int = 0
    share: float = 0.0

    @property
    def person_count(self) -> int:
        """How many have the e-mail of a person: the one with the same number as the lead."""
        return int(self.num_rows * self.share)

    def slice(self, first: int, count: int) -> pa.Table:
        """Return `count` leads from `first` on, with the fields that are not blank."""
        numbers = np.arange(first, min(first + count, self.num_rows), dtype=np.int64)
        texts = pa.array(numbers).cast(pa.string())
        others = pc.binary_join_element_wise("known.", texts, "@elsewhere.example", "")
        emails = pc.if_else(
            pa.array(numbers < self.person_count), population.emails(numbers), others
        )
        ids = record_ids(FIRST_NUMBER + first, len(numbers)).cast(pa.large_string())
        return pa.table({"Id": ids.cast(pa.string()), "Email": emails})

    def find(self, soql: str) -> list[dict[str, Any]]:
        """Return the leads with one of the e-mails that a query names."""
        numbers = sorted({int(found) for found in _PERSON.findall(soql)})
        found = [self.slice(number, 1) for number in numbers if number < self.person_count]
        return [
            {
                "Id": lead["Id"][0].as_py(),
                "Email": lead["Email"][0].as_py(),
                "OwnerId": sink_org.DEFAULT_OWNER,
                "CreatedDate": CREATED_AT.replace("Z", "+0000"),
                "IsDeleted": False,
                "IsConverted": False,
                "ConvertedContactId": None,
                "Person_Id__c": None,
            }
            for lead in found
        ]


@dataclass(frozen=True)
class Leads:
    """The result of a bulk query: the known leads, then those in `created`, with all `fields`.

    It is read in slices and never held as one table.
    """

    fields: list[str]
    known: KnownLeads
    created: pa.Table

    @property
    def num_rows(self) -> int:
        """How many leads there are."""
        return self.known.num_rows + int(self.created.num_rows)

    def slice(self, first: int, count: int) -> pa.Table:
        """Return `count` leads from `first` on."""
        known = self._with_all_fields(self.known.slice(first, count))
        rest = count - known.num_rows
        created = self.created.slice(max(0, first - self.known.num_rows), rest)
        return pa.concat_tables([known, created])

    def _with_all_fields(self, known: pa.Table) -> pa.Table:
        constants = {
            "OwnerId": sink_org.DEFAULT_OWNER,
            "CreatedDate": CREATED_AT,
            "IsDeleted": "false",
            "IsConverted": "false",
        }
        columns = [
            known[name]
            if name in known.column_names
            else pa.repeat(constants.get(name, ""), len(known))
            for name in self.fields
        ]
        return pa.table(columns, names=self.fields)
