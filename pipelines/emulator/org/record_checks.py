"""Check the records of a chunk before they are saved, in the order of a real org."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from pipelines.emulator.org import duplicate_rules
from pipelines.emulator.org.assignment_rules import holds, unknown_reference
from pipelines.emulator.org.chunks import Chunk
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.record_lookup import RecordLookup, key_forms
from pipelines.emulator.org.schema import Field, SObject
from pipelines.emulator.org.values import ABSENT, Cell, Failure, malformed_id


class RecordChecks:
    """The checks of one org; each adds its failures to the chunk."""

    def __init__(self, org: Org, lookup: RecordLookup) -> None:
        self._org = org
        self._store = org.store
        self._lookup = lookup

    def check_references(self, chunk: Chunk) -> None:
        """Fail rows whose references or owners do not exist or are not allowed."""
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
        return (
            None if self._lookup.state_of(target, value) == "active" else unknown_reference(field_)
        )

    def check_required(self, chunk: Chunk, *, updating: bool = False) -> None:
        """Fail rows that lack required fields; one failure names all of them."""
        missing: dict[int, list[str]] = defaultdict(list)
        for required in chunk.sobject.required_fields:
            for row in _rows_without(chunk, required, updating):
                missing[row].append(required.name)
        for row in sorted(missing.keys() - chunk.failures.keys()):
            names = missing[row]
            message = f"Required fields are missing: [{', '.join(names)}]"
            chunk.fail(row, Failure("REQUIRED_FIELD_MISSING", message, tuple(names)))

    def check_admin_rules(
        self, chunk: Chunk, record_of: Callable[[int], Mapping[str, Cell]]
    ) -> None:
        """Fail rows that break a validation rule, or the State and Country picklists."""
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

    def check_duplicates(
        self,
        chunk: Chunk,
        operation: str,
        columns: Mapping[str, Sequence[Cell]],
        own_ids: Mapping[int, str],
        *,
        allow_duplicates: bool,
    ) -> None:
        """Fail rows that a duplicate rule rejects.

        `columns` are the values that the records will have; `own_ids` are the ids they already
        have.
        """
        name = chunk.sobject.name
        rules = self._org.file.duplicate_rules
        for rule in duplicate_rules.rejecting_rules(rules, name, operation, allow_duplicates):
            known = duplicate_rules.MatchTarget(self._org.schema[rule.matches])
            matches = duplicate_rules.find_matches(
                self._store, known, columns, own_ids, chunk.accepted_rows
            )
            for row, found in matches.items():
                chunk.fail(
                    row,
                    duplicate_rules.duplicate_failure(duplicate_rules.RuleMatch(rule, found), name),
                )

    def check_unique(self, chunk: Chunk, own_ids: Mapping[int, str]) -> None:
        """Fail rows whose unique value another active record, or an earlier row, has."""
        for key in chunk.sobject.unique_fields:
            values = chunk.columns.get(key.name)
            if values is None:
                continue
            taken = self._lookup.find_ids_by_key(chunk.sobject, key, values)
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


def _rows_without(chunk: Chunk, required: Field, updating: bool) -> list[int]:
    """Return the rows that clear a required field or, if new, do not set it."""
    column = chunk.columns.get(required.name)
    if column is None:
        return [] if updating else list(range(chunk.size))
    return [
        row for row, cell in enumerate(column) if cell is None or (cell is ABSENT and not updating)
    ]


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


def _duplicate_value(key: Field, others: Sequence[str]) -> Failure:
    # The message has the 15-character form; a duplicate in the same chunk has no id yet.
    named = ", ".join(id_[:15] or "<unknown>" for id_ in others)
    message = f"duplicate value found: {key.name} duplicates value on record with id: {named}"
    return Failure("DUPLICATE_VALUE", message)
