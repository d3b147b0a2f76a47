"""The switches of `[behaviour]` in an org file."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.emulator.org.org_sections import Section
from pipelines.emulator.org.schema import DEFAULT_VALUE_RULES, ValueRules

CONTACT_QUEUE_OWNER = ("MALFORMED_ID", "INVALID_CROSS_REFERENCE_KEY", "INVALID_OPERATION")
ROW_ERRORS = ("joined", "first", "semicolons")
RESULT_DIALECTS = ("delimiter", "job", "plain")
EARLY_RESULTS = ("refused", "partial")
RULE_WITHOUT_MATCH = ("default_owner", "keep_owner")
TEXT_LENGTHS = ("utf16", "characters", "bytes")


@dataclass(frozen=True)
class Behaviour:
    """How the org processes jobs, and which reading it takes where a real org's is unknown.

    Where two readings are possible, the default is the one that is harder for a client. README.md
    explains each switch. `value_rules` holds the switches about reading values.
    """

    queue_seconds: float = 0.0
    rows_per_second: float = 0.0
    bulk_default_assignment: bool = False
    seed: int = 1
    newline_in_cell: bool = False
    second_put: str = "put"
    late_chunk_after_abort: bool = False
    echo_saved_values: bool = True
    short_pages: bool = False
    soap_login: bool = True
    password_grant: bool = True
    misspelt_duplicate_result_until: float = 59.0
    session_minutes: float = 120.0
    second_put_status: int = 400
    second_put_code: str = "INVALIDJOB"
    contact_queue_owner: str = "MALFORMED_ID"
    row_errors: str = "joined"
    result_dialect: str = "delimiter"
    early_results: str = "refused"
    rule_without_match: str = "default_owner"
    api_disabled_status: int = 401
    value_rules: ValueRules = DEFAULT_VALUE_RULES


def read_behaviour(section: Section) -> Behaviour:
    default = Behaviour()
    behaviour = Behaviour(
        queue_seconds=section.number("queue_seconds", default.queue_seconds),
        rows_per_second=section.number("rows_per_second", default.rows_per_second),
        bulk_default_assignment=section.flag(
            "bulk_default_assignment", default.bulk_default_assignment
        ),
        seed=section.whole("seed", default.seed),
        newline_in_cell=section.flag("newline_in_cell", default.newline_in_cell),
        second_put=section.one_of("second_put", ("put", "close"), default.second_put),
        late_chunk_after_abort=section.flag(
            "late_chunk_after_abort", default.late_chunk_after_abort
        ),
        echo_saved_values=section.flag("echo_saved_values", default.echo_saved_values),
        short_pages=section.flag("short_pages", default.short_pages),
        soap_login=section.flag("soap_login", default.soap_login),
        password_grant=section.flag("password_grant", default.password_grant),
        misspelt_duplicate_result_until=section.number(
            "misspelt_duplicate_result_until", default.misspelt_duplicate_result_until
        ),
        session_minutes=section.number("session_minutes", default.session_minutes),
        second_put_status=section.status("second_put_status", default.second_put_status),
        second_put_code=section.text("second_put_code", default.second_put_code),
        contact_queue_owner=section.one_of(
            "contact_queue_owner", CONTACT_QUEUE_OWNER, default.contact_queue_owner
        ),
        row_errors=section.one_of("row_errors", ROW_ERRORS, default.row_errors),
        result_dialect=section.one_of("result_dialect", RESULT_DIALECTS, default.result_dialect),
        early_results=section.one_of("early_results", EARLY_RESULTS, default.early_results),
        rule_without_match=section.one_of(
            "rule_without_match", RULE_WITHOUT_MATCH, default.rule_without_match
        ),
        api_disabled_status=section.status("api_disabled_status", default.api_disabled_status),
        value_rules=_value_rules(section),
    )
    section.reject_unknown_keys()
    return behaviour


def _value_rules(section: Section) -> ValueRules:
    default = DEFAULT_VALUE_RULES
    return ValueRules(
        lenient_email_domains=section.flag("lenient_email_domains", default.lenient_email_domains),
        trims_text=section.flag("trims_text", default.trims_text),
        numeric_booleans=section.flag("numeric_booleans", default.numeric_booleans),
        empty_json_is_null=section.flag("empty_json_is_null", default.empty_json_is_null),
        text_length=section.one_of("text_length", TEXT_LENGTHS, default.text_length),
    )
