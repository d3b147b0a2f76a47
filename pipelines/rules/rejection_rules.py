"""The dictionary of rules a person can break, in sentences that a steward can act upon."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

TEXT_COLUMNS = (
    "first_name",
    "last_name",
    "company",
    "email",
    "phone",
    "mobile_phone",
    "title",
    "website",
    "street",
    "city",
    "state",
    "postal_code",
    "country",
    "lead_source",
    "industry",
    "description",
)


class Rule(NamedTuple):
    """A row of rejection_rules; `field_name` is null when the rule may concern several columns."""

    rule_name: str
    stage: str
    field_name: str | None
    description: str
    remedy: str


def rule_for_column(column: str) -> Rule:
    """The dictionary row of the `_too_long` rule of a persons column, whatever its name."""
    words = column.replace("_", " ")
    return Rule(
        f"{column}_too_long",
        "validation",
        column,
        f"The {words} is longer than the Salesforce field holds.",
        f"Shorten the {words} in the persons table, or let an administrator lengthen the field.",
    )


def description_of(rule_name: str) -> str:
    """The sentence of one of our own rules."""
    return _SENTENCES[rule_name]


def too_long_sentence(rule_name: str, length: int) -> str:
    """The sentence of a `_too_long` rule, with the length that is allowed."""
    words = rule_name.removesuffix("_too_long").replace("_", " ")
    return f"The {words} is longer than the {length} characters that the Salesforce field holds."


def _validation(name: str, field: str | None, sentence: str, remedy: str) -> Rule:
    return Rule(name, "validation", field, sentence, remedy)


def _owner(name: str, sentence: str, remedy: str) -> Rule:
    return Rule(name, "owner", "owner_strategy", sentence, remedy)


def _salesforce(name: str, sentence: str, remedy: str) -> Rule:
    return Rule(name, "salesforce", None, sentence, remedy)


_OURS = [
    _validation(
        "company_missing",
        "company",
        "The company is blank, and Salesforce takes no lead without one.",
        "Fill in the company in the persons table, or agree on a default for Company.",
    ),
    _validation(
        "last_name_missing",
        "last_name",
        "The last name is blank, and Salesforce takes no lead without one.",
        "Fill in the last name in the persons table, or agree on a default for LastName.",
    ),
    _validation(
        "email_malformed",
        "email",
        "The e-mail address is not one that Salesforce accepts.",
        "Correct the address: one @, no blanks, no dot in front, a domain such as example.org.",
    ),
    _validation(
        "picklist_value_unknown",
        None,
        "The value is not among those that the Salesforce field allows.",
        "Use one of the picklist's values (true or false for a checkbox), or have the value added.",
    ),
    _validation(
        "number_malformed",
        None,
        "The value is not a plain number that the Salesforce field can hold.",
        "Write digits with at most one decimal point: no thousands separators, units or exponents.",
    ),
    _validation(
        "date_malformed",
        None,
        "The value is not a date of the calendar in ISO form.",
        "Write 2026-01-31 for a date and 2026-01-31T18:30:00Z for an instant.",
    ),
    _validation(
        "text_not_encodable",
        None,
        "The value holds characters that cannot reach Salesforce unchanged.",
        "Remove control characters, undecodable bytes, blanks around an id, or the word #N/A.",
    ),
    _validation(
        "person_id_missing",
        "person_id",
        "The person has no id.",
        "Give every row of the persons table an id that is not blank.",
    ),
    _validation(
        "person_id_malformed",
        "person_id",
        "The person's id is bytes, and an id must be text or a number.",
        "Store the id as text or as a number, or read the persons through a view that casts it.",
    ),
    _validation(
        "person_id_repeated",
        "person_id",
        "Several rows of the persons table bear this id, and nobody can tell which is meant.",
        "Keep one row for each id, or read the persons through a view that does.",
    ),
    _validation(
        "rejected_manually",
        None,
        "Somebody who looked at this held person decided that they become no lead.",
        "See why in the message; the person is read again once their row has changed.",
    ),
    _owner(
        "owner_unknown",
        "The owner strategy names nobody whom Salesforce knows, or several.",
        "Correct the name, use the record's id instead, or create the user, queue or rule.",
    ),
    _owner(
        "owner_inactive",
        "The user of the owner strategy is inactive, or has a licence that may not own leads.",
        "Name another user, or have the user activated or given a full licence.",
    ),
    _owner(
        "queue_not_for_leads",
        "The queue of the owner strategy does not serve leads.",
        "Name another queue, or add Lead to the queue's supported objects.",
    ),
    _owner(
        "owner_strategy_malformed",
        "The owner strategy is not written in a form that we know.",
        "Write rules, rule:NAME, user:USERNAME or queue:DEVELOPER_NAME.",
    ),
]

_SALESFORCE = [
    _salesforce(
        "REQUIRED_FIELD_MISSING",
        "The org requires a field that the person does not fill.",
        "Fill in the field that the message names, map it, or agree on a default.",
    ),
    _salesforce(
        "STRING_TOO_LONG",
        "A value is longer than the Salesforce field holds.",
        "Shorten the value that the message names.",
    ),
    _salesforce(
        "INVALID_EMAIL_ADDRESS",
        "Salesforce does not accept the e-mail address.",
        "Correct the address in the persons table.",
    ),
    _salesforce(
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        "The value is not among those of a restricted picklist, or not for this record type.",
        "Use one of the picklist's values, or have the value added to the record type.",
    ),
    _salesforce(
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        "A validation rule of the org refuses the lead; the message is its administrator's.",
        "Change the person as the message asks, or discuss the rule with the administrator.",
    ),
    _salesforce(
        "FIELD_INTEGRITY_EXCEPTION",
        "Two values do not go together, such as a state that the country does not have.",
        "Use the org's own states and countries, by the names or codes it lists.",
    ),
    _salesforce(
        "INVALID_TYPE_ON_FIELD_IN_RECORD",
        "A value is of another type than the Salesforce field.",
        "Correct the value that the message names, or the mapping.",
    ),
    _salesforce(
        "NUMBER_OUTSIDE_VALID_RANGE",
        "A number is too large for the Salesforce field.",
        "Correct the number that the message names.",
    ),
    _salesforce(
        "DUPLICATE_VALUE",
        "Another record already holds a value that must be unique.",
        "Look at the record that the message names; change the value or leave the person out.",
    ),
    _salesforce(
        "DUPLICATES_DETECTED",
        "A duplicate rule of the org blocks the lead.",
        "Use the existing record, or have the duplicate rule allow the lead.",
    ),
    _salesforce(
        "INACTIVE_OWNER_OR_USER",
        "The owner became inactive after we had looked.",
        "Name another owner, or have the user activated, and retry.",
    ),
    _salesforce(
        "OP_WITH_INVALID_USER_TYPE_EXCEPTION",
        "The owner's licence may not own leads.",
        "Name another owner, or have the user given a full licence.",
    ),
    _salesforce(
        "INVALID_OPERATION",
        "The operation does not fit; most often the queue does not serve leads.",
        "Add Lead to the queue's supported objects, or name another owner.",
    ),
    _salesforce(
        "TRANSFER_REQUIRES_READ",
        "The owner may not read leads.",
        "Have the owner given read access to Lead, or name another owner.",
    ),
    _salesforce(
        "INVALID_CROSS_REFERENCE_KEY",
        "A record that the lead refers to, such as its owner, does not exist.",
        "Correct the reference; the owner may have been deleted since we looked.",
    ),
    _salesforce(
        "MALFORMED_ID",
        "An id is not one, or belongs to another kind of record.",
        "Correct the id that the message names.",
    ),
    _salesforce(
        "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY",
        "The login of this load may not use a record that the lead refers to.",
        "Have the integration user given access to the record that the message names.",
    ),
    _salesforce(
        "INSUFFICIENT_ACCESS_OR_READONLY",
        "The login of this load may not write the record.",
        "Have the integration user given edit access.",
    ),
    _salesforce(
        "INVALID_FIELD",
        "A column does not exist or is hidden from the login, or the row was misread.",
        "Check the mapping and the field's visibility for the integration user.",
    ),
    _salesforce(
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        "A field may not be written by the login of this load.",
        "Have the integration user given edit access to the field, or unmap it.",
    ),
    _salesforce(
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
        "An automation of the org failed while it handled the lead.",
        "Show the message to the administrator: a trigger or flow has to be mended.",
    ),
    _salesforce(
        "CANNOT_EXECUTE_FLOW_TRIGGER",
        "A flow of the org failed while it handled the lead.",
        "Show the message to the administrator: a flow has to be mended.",
    ),
    _salesforce(
        "CANNOT_UPDATE_CONVERTED_LEAD",
        "The lead was converted after we had looked, and is read-only since.",
        "Retry: the person will then be matched with the contact.",
    ),
    _salesforce(
        "ENTITY_IS_DELETED",
        "The record was deleted after we had looked.",
        "Retry: the person will then be judged anew.",
    ),
    _salesforce(
        "UNABLE_TO_LOCK_ROW",
        "Another process held a record that the lead touches.",
        "Retry; nothing is wrong with the person.",
    ),
    _salesforce(
        "STORAGE_LIMIT_EXCEEDED",
        "The org has no storage left.",
        "Have storage freed or bought, and retry.",
    ),
    _salesforce(
        "LIMIT_EXCEEDED",
        "A limit of the org was reached.",
        "Retry later, or show the message to the administrator.",
    ),
    _salesforce(
        "UNKNOWN_EXCEPTION",
        "Salesforce failed without saying why.",
        "Retry; if it stays, give the message to Salesforce support.",
    ),
]

RULES: list[Rule] = [
    *_OURS,
    *(rule_for_column(column) for column in (*TEXT_COLUMNS, "person_id")),
    *_SALESFORCE,
]


def rejection_rules_for(columns: Iterable[str]) -> list[Rule]:
    """All rules, those of these persons columns among them; the contract's own are always there."""
    more = sorted(set(columns) - {*TEXT_COLUMNS, "person_id"})
    return [*RULES, *map(rule_for_column, more)]


_SENTENCES = {rule.rule_name: rule.description for rule in RULES}
