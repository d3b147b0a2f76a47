"""Every trouble arrives as one of ours, and carries nothing of what was sent."""

from __future__ import annotations

import inspect
from typing import Any, cast

import pytest
import requests.exceptions
import simple_salesforce.exceptions
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import (
    ConfigurationError,
    OrgLimitError,
    OrgRejectedError,
    OrgUnavailableError,
    SessionExpiredError,
    SyncError,
)
from pipelines.salesforce.errors import TRANSLATIONS, error_from_response, translate

CANARY = "jane.canary@private.example"
URL = f"https://acme.my.salesforce.com/services/data/v67.0/query?q={CANARY}"


def _exception_classes() -> list[type[Exception]]:
    return [
        kind
        for module in (requests.exceptions, simple_salesforce.exceptions)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if kind.__module__ == module.__name__
        and issubclass(kind, Exception)
        and not issubclass(kind, Warning)
    ]


def _made(kind: type[Any]) -> Any:
    if kind is simple_salesforce.exceptions.SalesforceAuthenticationFailed:
        return kind("invalid_grant", CANARY)
    if issubclass(kind, simple_salesforce.exceptions.SalesforceError):
        return kind(URL, 400, CANARY, cast(Any, [{"errorCode": "X", "message": CANARY}]))
    if issubclass(kind, requests.exceptions.JSONDecodeError):
        return kind(CANARY, CANARY, 0)
    return kind(URL)


@pytest.mark.parametrize("kind", _exception_classes())
def test_every_exception_of_both_libraries_has_a_translation_of_its_own(
    kind: type[Exception],
) -> None:
    assert kind in TRANSLATIONS


@pytest.mark.parametrize("kind", _exception_classes())
def test_no_translation_repeats_an_address_or_a_value(kind: type[Exception]) -> None:
    ours = translate(_made(kind))
    assert isinstance(ours, SyncError)
    assert "canary" not in str(ours)
    assert "https://acme" not in str(ours)


def test_a_class_that_a_new_release_brings_is_taken_for_its_parent() -> None:
    class NewTimeout(requests.exceptions.ReadTimeout):
        pass

    assert isinstance(translate(NewTimeout()), OrgUnavailableError)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "REQUEST_LIMIT_EXCEEDED", OrgLimitError),
        (503, "SERVER_UNAVAILABLE", OrgLimitError),
        (429, "", OrgLimitError),
        (420, "", OrgLimitError),
        (500, "UNKNOWN_EXCEPTION", OrgUnavailableError),
        (502, "", OrgUnavailableError),
        (401, "INVALID_SESSION_ID", SessionExpiredError),
        (400, "MALFORMED_QUERY", OrgRejectedError),
        (403, "INSUFFICIENT_ACCESS", OrgRejectedError),
        (404, "NOT_FOUND", OrgRejectedError),
        (300, "", OrgRejectedError),
    ],
)
def test_a_response_is_transient_or_permanent_by_its_status_and_code(
    status: int, code: str, kind: type[SyncError]
) -> None:
    assert type(error_from_response(status, [{"errorCode": code, "message": CANARY}])) is kind


@pytest.mark.parametrize("content", ["<html>", [], [CANARY], {"a": 1}, [{}], None, b"?"])
def test_a_response_of_unknown_form_is_rejected_with_its_status(content: object) -> None:
    ours = error_from_response(400, content)
    assert isinstance(ours, OrgRejectedError)
    assert ours.code == "HTTP_400"


def test_a_session_without_api_access_is_a_permanent_error() -> None:
    message = "This session is not valid for use with the REST API"
    ours = error_from_response(401, [{"errorCode": "INVALID_SESSION_ID", "message": message}])
    assert isinstance(ours, OrgRejectedError)
    assert "API Enabled" in str(ours)


def test_the_fields_at_fault_are_named() -> None:
    error = {"errorCode": "INVALID_FIELD", "message": CANARY, "fields": ["Email", CANARY, 1]}
    assert "(Email)" in str(error_from_response(400, [error]))


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("\nERROR at Row:1\nNo such column 'Ext__c' on entity 'Lead'. If", "(Ext__c, Lead)"),
        ("No such column 'Ext__c' on sobject of type Lead", "(Ext__c, Lead)"),
        ("sObject type 'Contact' is not supported. If", "(Contact)"),
    ],
)
def test_what_is_hidden_from_the_login_is_named(message: str, named: str) -> None:
    assert named in str(
        error_from_response(400, [{"errorCode": "INVALID_TYPE", "message": message}])
    )


@settings(deadline=None)
@given(code=st.text(), message=st.text(), fields=st.lists(st.text()))
def test_only_names_reach_the_message(code: str, message: str, fields: list[str]) -> None:
    canaries = {"errorCode": code, "message": f"{message} {CANARY}", "fields": [*fields, CANARY]}
    assert CANARY not in str(error_from_response(400, [canaries]))


def test_a_login_refused_in_an_unexpected_place_is_a_configuration_error() -> None:
    kind = simple_salesforce.exceptions.SalesforceAuthenticationFailed
    assert isinstance(translate(kind(None, None)), ConfigurationError)
