"""Save records in chunks of up to 200, column by column.

The steps follow the org's order of execution. First formats, lengths and lookups, then required
fields and the admin's own rules. Then duplicate rules, unique values and the save. The assignment
rule comes last, which is why it replaces the owner that was sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipelines.emulator.org import duplicate_rules
from pipelines.emulator.org.assignment_rules import ResolvedRule
from pipelines.emulator.org.chunks import Chunk
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.record_checks import RecordChecks
from pipelines.emulator.org.record_lookup import (
    RecordLookup,
    key_failure,
    key_form,
    missing_record_failure,
    without_absent,
)
from pipelines.emulator.org.schema import Field, SObject
from pipelines.emulator.org.values import ABSENT, Cell, Failure, Value, now


@dataclass(frozen=True)
class SaveOptions:
    """Who saves, which assignment rule runs, and whether alerts may be overridden."""

    user_id: str
    rule: ResolvedRule | None = None
    allow_duplicates: bool = False


class Saved(NamedTuple):
    """The id of a saved record, and whether it is new."""

    id: str
    created: bool


Results = dict[int, Saved]


class Saver:
    """Creates, updates, upserts and deletes the records of one org."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._store = org.store
        self.lookup = RecordLookup(org.store)
        self._checks = RecordChecks(org, self.lookup)

    def insert(self, chunk: Chunk, options: SaveOptions) -> Results:
        """Save new records; failed rows are in `chunk.failures` afterwards."""
        with self._store.transaction():
            self._checks.check_references(chunk)
            self._checks.check_required(chunk)
            self._checks.check_admin_rules(chunk, chunk.record)
            self._checks.check_duplicates(
                chunk, "insert", chunk.columns, {}, allow_duplicates=options.allow_duplicates
            )
            self._checks.check_unique(chunk, {})
            rows = chunk.accepted_rows
            new_ids = self._store.take_ids(chunk.sobject.prefix, len(rows)) if rows else []
            if rows:
                self._write_new(chunk, rows, new_ids, options)
        return {row: Saved(id_, True) for row, id_ in zip(rows, new_ids, strict=True)}

    def update(self, chunk: Chunk, targets: Sequence[str], options: SaveOptions) -> Results:
        """Change records; a target is an 18-character id, one for each row."""
        with self._store.transaction():
            existing = self._existing(chunk, targets)
            self._checks.check_references(chunk)
            self._checks.check_required(chunk, updating=True)
            merged = {
                row: existing[targets[row]] | chunk.record(row)
                for row in chunk.accepted_rows
                if targets[row] in existing
            }
            self._checks.check_admin_rules(chunk, lambda row: merged[row])
            own = dict(enumerate(targets))
            merged_columns = {
                name: [merged.get(row, {}).get(name) for row in range(chunk.size)]
                for name in duplicate_rules.MATCHED_FIELDS
            }
            self._checks.check_duplicates(
                chunk, "update", merged_columns, own, allow_duplicates=options.allow_duplicates
            )
            self._checks.check_unique(chunk, own)
            rows = chunk.accepted_rows
            self._write_changes(chunk.sobject, [merged[row] for row in rows], options)
        return {row: Saved(targets[row], False) for row in rows}

    def upsert(self, chunk: Chunk, key: Field, options: SaveOptions) -> Results:
        """Create or change records, matched by a key field."""
        with self._store.transaction():
            matches = self._matches(chunk, key)
            new = [row for row in chunk.accepted_rows if not matches[row]]
            old = [row for row in chunk.accepted_rows if matches[row]]
            without = "Id" if key.type == "id" else ""
            results = self._part(chunk, new, without, lambda part: self.insert(part, options))
            targets = [matches[row] for row in old]
            results |= self._part(
                chunk, old, key.name, lambda part: self.update(part, targets, options)
            )
        return results

    def delete(
        self, sobject: SObject, targets: Sequence[str], *, permanently: bool = False
    ) -> dict[int, Failure]:
        """Delete records, into the recycle bin or permanently; return the failures by position."""
        erase = f'delete from "{sobject.name}" where Id = ?'  # noqa: S608 - a name of ours
        bin_ = f'update "{sobject.name}" set IsDeleted = 1, SystemModstamp = ? where Id = ?'  # noqa: S608
        failures: dict[int, Failure] = {}
        with self._store.transaction():
            for row, target in enumerate(targets):
                state = self.lookup.state_of(sobject, target)
                if state != "active":
                    failures[row] = missing_record_failure(state)
                    continue
                if permanently:
                    self._store.run(erase, (target,))
                else:
                    self._store.run(bin_, (now(), target))
        return failures

    def _part(
        self, chunk: Chunk, rows: list[int], without: str, save: Callable[[Chunk], Results]
    ) -> Results:
        if not rows:
            return {}
        part = chunk.part(rows, without)
        results = save(part)
        for row, failures in part.failures.items():
            chunk.failures[rows[row]] = failures
        return {rows[row]: saved for row, saved in results.items()}

    def _matches(self, chunk: Chunk, key: Field) -> dict[int, str]:
        values = chunk.columns.get(key.name) or [ABSENT] * chunk.size
        forms = {row: key_form(key, values[row]) for row in chunk.accepted_rows}
        repeats = Counter(form for form in forms.values() if form is not None)
        found = self.lookup.find_ids_by_key(chunk.sobject, key, [values[row] for row in forms])
        matches: dict[int, str] = {}
        for row, form in forms.items():
            known = found.get(form, [])
            failure = key_failure(key, values[row], 0 if form is None else repeats[form], known)
            if form is not None and key.type == "id" and not known:
                failure = missing_record_failure(self.lookup.state_of(chunk.sobject, str(form)))
            if failure is not None:
                chunk.fail(row, failure)
            matches[row] = known[0] if known else ""
        return matches

    def _existing(self, chunk: Chunk, targets: Sequence[str]) -> dict[str, dict[str, Cell]]:
        sobject = chunk.sobject
        names = [f.name for f in sobject.stored_fields]
        columns = ", ".join(f'"{name}"' for name in names)
        wanted = sorted(set(targets))
        known: dict[str, dict[str, Cell]] = {}
        for values in self._store.rows(
            f'select {columns} from "{sobject.name}"'  # noqa: S608
            f" where Id in ({','.join('?' * len(wanted))})",
            wanted,
        ):
            record: dict[str, Cell] = dict(zip(names, map(without_absent, values), strict=True))
            known[str(record["Id"])] = record
        for row in chunk.accepted_rows:
            failure = _cannot_change(known.get(targets[row]))
            if failure is not None:
                chunk.fail(row, failure)
        return known

    def _write_new(
        self, chunk: Chunk, rows: Sequence[int], new_ids: Sequence[str], options: SaveOptions
    ) -> None:
        sobject, user = chunk.sobject, options.user_id
        same: dict[str, Value] = {f.name: _default(f) for f in sobject.stored_fields if f.defaulted}
        same |= dict.fromkeys(("CreatedDate", "LastModifiedDate", "SystemModstamp"), now())
        same |= dict.fromkeys(("CreatedById", "LastModifiedById"), user)
        columns: dict[str, Sequence[Value]] = {"Id": new_ids}
        for name, column in chunk.columns.items():
            default = _default(sobject[name])
            picked = column if len(rows) == chunk.size else [column[row] for row in rows]
            columns[name] = _filled(picked, default)
        sent = columns.get("OwnerId") or [None] * len(rows)
        columns["OwnerId"] = [user if owner is None else owner for owner in sent]
        if sobject.find("FirstName"):
            columns["Name"] = _full_names(columns, len(rows))
        if options.rule is not None and sobject.name == "Lead":
            seen = columns | {"OwnerId": sent}
            columns["OwnerId"] = options.rule.owners_for(seen, same, len(rows))
        self._store.add_rows(sobject.name, columns, same)

    def _write_changes(
        self, sobject: SObject, records: Sequence[dict[str, Cell]], options: SaveOptions
    ) -> None:
        if not records:
            return
        moment = now()
        for record in records:
            record["LastModifiedDate"] = record["SystemModstamp"] = moment
            record["LastModifiedById"] = options.user_id
            if sobject.find("FirstName"):
                record["Name"] = _full_name(record.get("FirstName"), record.get("LastName"))
            if options.rule is not None and sobject.name == "Lead":
                record["OwnerId"] = options.rule.owner_for(record)
        names = [f.name for f in sobject.stored_fields if f.name != "Id"]
        assignments = ", ".join(f'"{name}" = ?' for name in names)
        self._store.run_many(
            f'update "{sobject.name}" set {assignments} where Id = ?',  # noqa: S608
            ([without_absent(record[name]) for name in (*names, "Id")] for record in records),
        )


def _cannot_change(record: Mapping[str, Cell] | None) -> Failure | None:
    if record is None:
        return missing_record_failure("unknown")
    if record["IsDeleted"]:
        return missing_record_failure("deleted")
    if record.get("IsConverted"):
        return Failure("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
    return None


def _default(field_: Field) -> Value:
    return field_.default if field_.defaulted else None


def _filled(column: Sequence[Cell], default: Value) -> list[Value]:
    # An identity test: `isinstance` for every cell would cost more than the row's SQL.
    return [default if cell is ABSENT else cell for cell in column]  # type: ignore[misc]


def _full_names(columns: Mapping[str, Sequence[Value]], count: int) -> list[Value]:
    nothing: Sequence[Value] = [None] * count
    first, last = columns.get("FirstName", nothing), columns.get("LastName", nothing)
    return [_full_name(f, n) for f, n in zip(first, last, strict=True)]


def _full_name(first: Cell, last: Cell) -> str:
    return f"{first} {last}" if first else str(last)
