"""The status codes by which Salesforce rejects a record, each with a description and a remedy.

A code that is not listed here is recorded all the same, with Salesforce's own message.
"""

from __future__ import annotations

from pipelines.rules.rejection_rules import RejectionRule


def _salesforce(code: str, description: str, remedy: str) -> RejectionRule:
    return RejectionRule(code, "salesforce", None, description, remedy)


SALESFORCE_RULES = (
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
        "A validation rule of the org rejects the lead; the message is its administrator's.",
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
        "Show the message to the administrator: a trigger or flow has to be corrected.",
    ),
    _salesforce(
        "CANNOT_EXECUTE_FLOW_TRIGGER",
        "A flow of the org failed while it handled the lead.",
        "Show the message to the administrator: a flow has to be corrected.",
    ),
    _salesforce(
        "CANNOT_UPDATE_CONVERTED_LEAD",
        "The lead was converted after we had looked, and is read-only since.",
        "Retry: the person will then be matched with the contact.",
    ),
    _salesforce(
        "ENTITY_IS_DELETED",
        "The record was deleted after we had looked.",
        "Retry: the person will then be matched again.",
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
)
