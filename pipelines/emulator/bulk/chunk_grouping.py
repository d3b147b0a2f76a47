"""Decide which chunks of a job can be saved together.

In a real org every 200 rows are one transaction. A chunk sees what earlier chunks saved, but
duplicates inside one chunk do not see each other. Chunks whose rows share no key give the same
result when they are saved together, and that is several times faster.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

from pipelines.emulator.bulk.job_info import Job
from pipelines.emulator.bulk.uploads import HeaderColumn
from pipelines.emulator.org import duplicate_rules
from pipelines.emulator.org.arrow_arrays import Ints
from pipelines.emulator.org.chunks import CHUNK_ROWS
from pipelines.emulator.org.match_keys import email_match_key, phone_match_key
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.record_lookup import key_forms
from pipelines.emulator.org.schema import Field, SObject
from pipelines.emulator.org.values import Cell

Columns = Mapping[str, Sequence[Cell]]
# With a limited speed, progress is made in steps of this many seconds.
STEP = 0.05
UNLIMITED = 1_000


class ChunkGrouper:
    """Splits the rows of one job into groups of whole chunks."""

    def __init__(self, org: Org, job: Job, columns: Sequence[HeaderColumn]) -> None:
        self._sobject = org.schema[job.object]
        rules = org.file.duplicate_rules
        creating = duplicate_rules.rejecting_rules(rules, self._sobject.name, "insert")
        self._matched = {rule.matches for rule in creating}
        self._matches_changes = bool(
            duplicate_rules.rejecting_rules(rules, self._sobject.name, "update")
        )
        self._keys = self._key_fields(job, {column.field.name for column in columns})
        one_by_one = (
            job.faults != "[]"
            or org.behaviour.late_chunk_after_abort
            or any(_names_own_object(column, self._sobject) for column in columns)
            or self._frees_values(job)
        )
        pace = org.behaviour.rows_per_second
        chunks_per_step = max(1, int(pace * STEP / CHUNK_ROWS)) if pace else UNLIMITED
        self._longest = 1 if one_by_one else chunks_per_step

    def split(self, count: int, whole: Ints, columns: Columns) -> Iterator[tuple[int, int]]:
        """Yield the groups of `count` rows, each as (first row, first row of the next group).

        `whole` are the numbers of the well-formed rows; `columns` hold their values.
        """
        linked = [-1] * len(range(0, count, CHUNK_ROWS))
        if self._longest > 1:
            chunks = (whole // CHUNK_ROWS).tolist()
            for keys in self._links(columns, len(whole)):
                _link(linked, chunks, list(keys))
        start = 0
        for chunk, earlier in enumerate(linked):
            if earlier >= start or chunk - start >= self._longest:
                yield start * CHUNK_ROWS, chunk * CHUNK_ROWS
                start = chunk
        yield start * CHUNK_ROWS, count

    def _key_fields(self, job: Job, names: set[str]) -> list[Field]:
        """Return the fields by which two rows of the file may concern the same record."""
        keys = [field for field in self._sobject.unique_fields if field.name in names]
        target = job.external_id_field or ("Id" if job.operation != "insert" else None)
        if target in names and target not in {field.name for field in keys}:
            keys.append(self._sobject[target])
        return keys

    def _frees_values(self, job: Job) -> bool:
        """Return whether a change may free a unique value that a later row needs."""
        given = {field.name for field in self._keys} - {job.external_id_field, "Id"}
        if job.operation == "upsert":
            return bool(given or self._matched or self._matches_changes)
        return job.operation == "update" and bool(given or self._matches_changes)

    def _links(self, columns: Columns, count: int) -> Iterator[Iterable[Hashable]]:
        for field in self._keys:
            yield key_forms(field, columns[field.name])
        if self._sobject.name in self._matched:
            nothing = [None] * count
            email, first, last, phone = (
                columns.get(name, nothing) for name in duplicate_rules.MATCHED_FIELDS
            )
            yield map(email_match_key, email, last)
            yield map(phone_match_key, phone, first, last)


def _names_own_object(column: HeaderColumn, sobject: SObject) -> bool:
    if column.through is not None:
        return column.through[0].name == sobject.name
    return sobject.name in column.field.reference_to


def _link(linked: list[int], chunks: Sequence[int], keys: Sequence[Hashable]) -> None:
    """Record for each chunk the last earlier chunk with which it shares a key."""
    if len(set(keys)) + keys.count(None) - (None in keys) == len(keys):
        return
    last: dict[Hashable, int] = {}
    for chunk, key in zip(chunks, keys, strict=True):
        if key is None:
            continue
        earlier = last.get(key, chunk)
        if earlier != chunk:
            linked[chunk] = max(linked[chunk], earlier)
        last[key] = chunk
