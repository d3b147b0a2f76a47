"""Saving records: a chunk is up to 200 of them saved together, judged column by column.

The steps follow the org's order of execution (§5.1): formats, lengths and look-ups; required
fields and the admin's own rules; duplicate rules; unique values; the save; and the assignment
rule last, which is why it overrides the owner that was sent.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pipelines.emulator.org import duplicate_rules, ids
from pipelines.emulator.org.assignment_rules import ResolvedRule, holds, unknown_reference
from pipelines.emulator.org.chunks import Chunk
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.schema import TEXT_TYPES, Field, SObject
from pipelines.emulator.org.values import ABSENT, Absent, Cell, Failure, Value, malformed_id, now


@dataclass(frozen=True)
class SaveOptions:
    """Who saves, under which rule, and whether an alert may be overridden."""

    user_id: str
    rule: ResolvedRule | None = None
    allow_duplicates: bool = False


class Saved(NamedTuple):
    """A record that is in, and whether it is new."""

    id: str
    created: bool


Results = dict[int, Saved]


class Saver:
    """Creates, updates, upserts and deletes records of one org."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._store = org.store

    def insert(self, chunk: Chunk, options: SaveOptions) -> Results:
        """Save new records; the refused rows are in `chunk.failures` afterwards."""
        with self._store.transaction():
            self._check_references(chunk)
            self._check_required(chunk)
            self._check_admin_rules(chunk, chunk.record)
            self._check_duplicates(chunk, options, "insert", chunk.columns, {})
            self._check_unique(chunk, {})
            rows = chunk.accepted_rows
            new_ids = self._store.take_ids(chunk.sobject.prefix, len(rows)) if rows else []
            if rows:
                self._write_new(chunk, rows, new_ids, options)
        return {row: Saved(id_, True) for row, id_ in zip(rows, new_ids, strict=True)}

    def update(self, chunk: Chunk, targets: Sequence[str], options: SaveOptions) -> Results:
        """Change records; a target is an 18-character id."""
        with self._store.transaction():
            existing = self._existing(chunk, targets)
            self._check_references(chunk)
            self._check_required(chunk, updating=True)
            merged = {
                row: existing[targets[row]] | chunk.record(row)
                for row in chunk.accepted_rows
                if targets[row] in existing
            }
            self._check_admin_rules(chunk, lambda row: merged[row])
            own = dict(enumerate(targets))
            merged_columns = {
                name: [merged.get(row, {}).get(name) for row in range(chunk.size)]
                for name in duplicate_rules.MATCHED_FIELDS
            }
            self._check_duplicates(chunk, options, "update", merged_columns, own)
            self._check_unique(chunk, own)
            rows = chunk.accepted_rows
            self._write_changes(chunk.sobject, [merged[row] for row in rows], options)
        return {row: Saved(targets[row], False) for row in rows}

    def upsert(self, chunk: Chunk, key: Field, options: SaveOptions) -> Results:
        """Create or change, by a key field (§7.1, §10)."""
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
        """Put records into the bin, or past it; answers the refusals by position."""
        erase = f'delete from "{sobject.name}" where Id = ?'  # noqa: S608 - a name of ours
        bin_ = f'update "{sobject.name}" set IsDeleted = 1, SystemModstamp = ? where Id = ?'  # noqa: S608
        failures: dict[int, Failure] = {}
        with self._store.transaction():
            for row, target in enumerate(targets):
                state = self.state_of(sobject, target)
                if state != "living":
                    failures[row] = missing_record_failure(state)
                    continue
                if permanently:
                    self._store.run(erase, (target,))
                else:
                    self._store.run(bin_, (now(), target))
        return failures

    def state_of(self, sobject: SObject, record_id: str) -> str:
        """`living`, `deleted` or `unknown`."""
        found = self._store.row(
            f'select IsDeleted from "{sobject.name}" where Id = ?',  # noqa: S608
            (record_id,),
        )
        if found is None:
            return "unknown"
        return "deleted" if found[0] else "living"

    def find_by_key(self, sobject: SObject, key: Field, value: Value) -> list[str]:
        """The living records whose key has this value."""
        return self._found_by_key(sobject, key, [value]).get(key_form(key, value), [])

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
        found = self._found_by_key(chunk.sobject, key, [values[row] for row in forms])
        matches: dict[int, str] = {}
        for row, form in forms.items():
            known = found.get(form, [])
            failure = _key_failure(key, values[row], 0 if form is None else repeats[form], known)
            if form is not None and key.type == "id" and not known:
                failure = missing_record_failure(self.state_of(chunk.sobject, str(form)))
            if failure is not None:
                chunk.fail(row, failure)
            matches[row] = known[0] if known else ""
        return matches

    def _found_by_key(
        self, sobject: SObject, key: Field, values: Iterable[Cell]
    ) -> dict[Value, list[str]]:
        wanted = list({str(v) for v in values if v is not None and v is not ABSENT})
        found: dict[Value, list[str]] = defaultdict(list)
        for id_, value in self._store.rows(
            f'select Id, "{key.name}" from "{sobject.name}"'  # noqa: S608
            f' where IsDeleted = 0 and "{key.name}" in ({",".join("?" * len(wanted))})',
            wanted,
        ):
            found[key_form(key, _value(value))].append(str(id_))
        return found

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
            record: dict[str, Cell] = dict(zip(names, map(_value, values), strict=True))
            known[str(record["Id"])] = record
        for row in chunk.accepted_rows:
            failure = _cannot_change(known.get(targets[row]))
            if failure is not None:
                chunk.fail(row, failure)
        return known

    def _check_references(self, chunk: Chunk) -> None:
        for name, column in chunk.columns.items():
            field_ = chunk.sobject[name]
            if field_.type != "reference":
                continue
            failures_by_id: dict[str, Failure | None] = {}
            for row, value in enumerate(column):
                if isinstance(value, str):
                    if value not in failures_by_id:
                        failures_by_id[value] = self._reference_failure(
                            chunk.sobject, field_, value
                        )
                    failure = failures_by_id[value]
                    if failure is not None:
                        chunk.fail(row, failure)
                elif value is None and name == "OwnerId":
                    chunk.fail(row, Failure("INVALID_CROSS_REFERENCE_KEY", "owner cannot be blank"))

    def _reference_failure(self, sobject: SObject, field_: Field, value: str) -> Failure | None:
        if field_.name == "OwnerId":
            return self._org.owners.ownership_failure(sobject, field_, value)
        target = self._org.schema.of_id(value)
        if target is None or target.name not in field_.reference_to:
            return malformed_id(field_, value)
        return None if self.state_of(target, value) == "living" else unknown_reference(field_)

    def _check_required(self, chunk: Chunk, *, updating: bool = False) -> None:
        missing: dict[int, list[str]] = defaultdict(list)
        for required in chunk.sobject.required_fields:
            for row in _rows_without(chunk, required, updating):
                missing[row].append(required.name)
        for row in sorted(missing.keys() - chunk.failures.keys()):
            names = missing[row]
            message = f"Required fields are missing: [{', '.join(names)}]"
            chunk.fail(row, Failure("REQUIRED_FIELD_MISSING", message, tuple(names)))

    def _check_admin_rules(
        self, chunk: Chunk, record_of: Callable[[int], Mapping[str, Cell]]
    ) -> None:
        rules = [r for r in self._org.file.validation_rules if r.object == chunk.sobject.name]
        countries = self._org.countries
        if not rules and not countries:
            return
        for row in chunk.accepted_rows:
            record = record_of(row)
            for rule in rules:
                if holds(rule.when, record):
                    fields = (rule.field,) if rule.field else ()
                    chunk.fail(
                        row, Failure("FIELD_CUSTOM_VALIDATION_EXCEPTION", rule.message, fields)
                    )
            failure = _address_failure(countries, record) if countries else None
            if failure is not None:
                chunk.fail(row, failure)

    def _check_duplicates(
        self,
        chunk: Chunk,
        options: SaveOptions,
        operation: str,
        columns: Mapping[str, Sequence[Cell]],
        own_ids: Mapping[int, str],
    ) -> None:
        """`columns` are what the records will hold, `own_ids` those they have already."""
        name = chunk.sobject.name
        rules = self._org.file.duplicate_rules
        for rule in duplicate_rules.rejecting_rules(
            rules, name, operation, options.allow_duplicates
        ):
            known = duplicate_rules.MatchTarget(self._org.schema[rule.matches])
            matches = duplicate_rules.find_matches(
                self._store, known, columns, own_ids, chunk.accepted_rows
            )
            for row, found in matches.items():
                chunk.fail(
                    row,
                    duplicate_rules.duplicate_failure(duplicate_rules.RuleMatch(rule, found), name),
                )

    def _check_unique(self, chunk: Chunk, own_ids: Mapping[int, str]) -> None:
        """No two living records share a unique value, not even two of one chunk."""
        for key in chunk.sobject.unique_fields:
            values = chunk.columns.get(key.name)
            if values is None:
                continue
            taken = self._found_by_key(chunk.sobject, key, values)
            forms = {
                row: form for row, form in enumerate(key_forms(key, values)) if form is not None
            }
            if not taken and len(set(forms.values())) == len(forms):
                continue
            for row in chunk.accepted_rows:
                if row not in forms:
                    continue
                known = taken[forms[row]]
                others = [id_ for id_ in known if id_ != own_ids.get(row)]
                if others:
                    chunk.fail(row, _duplicate_value(key, others))
                else:
                    known.append(own_ids.get(row, ""))

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
            ([_value(record[name]) for name in (*names, "Id")] for record in records),
        )


def missing_record_failure(state: str) -> Failure:
    """The refusal of a record that was deleted, or never was."""
    if state == "deleted":
        return Failure("ENTITY_IS_DELETED", "entity is deleted")
    return Failure("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")


def _value(cell: Any) -> Value:
    return None if isinstance(cell, Absent) else cell


def _cannot_change(record: Mapping[str, Cell] | None) -> Failure | None:
    if record is None:
        return missing_record_failure("unknown")
    if record["IsDeleted"]:
        return missing_record_failure("deleted")
    if record.get("IsConverted"):
        return Failure("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
    return None


def _rows_without(chunk: Chunk, required: Field, updating: bool) -> list[int]:
    """The rows that clear a required field or, being new, do not speak of it."""
    column = chunk.columns.get(required.name)
    if column is None:
        return [] if updating else list(range(chunk.size))
    return [
        row for row, cell in enumerate(column) if cell is None or (cell is ABSENT and not updating)
    ]


def _default(field_: Field) -> Value:
    return field_.default if field_.defaulted else None


def _filled(column: Sequence[Cell], default: Value) -> list[Value]:
    # ABSENT is the only Absent there is; asking for the type would cost more than the row's SQL.
    return [default if cell is ABSENT else cell for cell in column]  # type: ignore[misc]


def _full_names(columns: Mapping[str, Sequence[Value]], count: int) -> list[Value]:
    nothing: Sequence[Value] = [None] * count
    first, last = columns.get("FirstName", nothing), columns.get("LastName", nothing)
    return [_full_name(f, n) for f, n in zip(first, last, strict=True)]


def _full_name(first: Cell, last: Cell) -> str:
    return f"{first} {last}" if first else str(last)


def key_form(key: Field, value: Cell) -> Value:
    """A key value as it is compared: only a case-sensitive field tells `a` from `A`."""
    if isinstance(value, Absent) or value is None or value == "":
        return None
    if not isinstance(value, str):
        value = as_key_text(value)
    return value if key.case_sensitive or key.type in {"id", "reference"} else value.lower()


def key_forms(key: Field, values: Iterable[Cell]) -> Iterator[Value]:
    """A whole column of key values as they are compared."""
    if key.case_sensitive or key.type not in TEXT_TYPES:
        return (key_form(key, value) for value in values)
    return (v.lower() if isinstance(v, str) and v else key_form(key, v) for v in values)


def as_key_text(value: float) -> str:
    """A number used as a key, without a needless fraction."""
    return str(int(value)) if float(value).is_integer() else str(value)


def _key_failure(key: Field, value: Cell, repeats: int, known: Sequence[str]) -> Failure | None:
    if key_form(key, value) is None:
        return Failure("MISSING_ARGUMENT", f"{key.name} not specified", (key.name,))
    if repeats > 1:
        # Neither of two rows with one key is saved: the org cannot tell which was meant.
        message = f"Duplicate external id specified: {value}"
        return Failure("DUPLICATE_VALUE", message, (key.name,))
    if len(known) > 1:
        message = (
            f"{key.name}: more than one record found for external id field: [{', '.join(known)}]"
        )
        return Failure("DUPLICATE_EXTERNAL_ID", message, (key.name,))
    return None


def _duplicate_value(key: Field, others: Sequence[str]) -> Failure:
    # The message carries the 15-character form (§4); a twin of the same chunk has no id yet.
    named = ", ".join(id_[:15] or "<unknown>" for id_ in others)
    message = f"duplicate value found: {key.name} duplicates value on record with id: {named}"
    return Failure("DUPLICATE_VALUE", message)


def _address_failure(
    countries: Mapping[str, frozenset[str]], record: Mapping[str, Cell]
) -> Failure | None:
    country, state = record.get("Country"), record.get("State")
    if isinstance(country, str) and country not in countries:
        return _bad_place("country", "countries", "Country", "Country")
    if isinstance(state, str) and state not in countries.get(str(country), frozenset()):
        return _bad_place("state", "states", "State", "State/Province")
    return None


def _bad_place(one: str, many: str, field_name: str, label: str) -> Failure:
    advice = f"Please select a {one} from the list of valid {many}."  # noqa: S608 - English
    message = f"There's a problem with this {one}, even though it may appear correct. {advice}"
    return Failure("FIELD_INTEGRITY_EXCEPTION", f"{message}: {label}", (field_name,))


def target_id(field_: Field, text: str) -> str:
    """A record id out of a request, in 18 characters."""
    found = ids.normalised(text)
    if found is None:
        raise malformed_id(field_, text)
    return found
