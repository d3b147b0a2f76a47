"""JSON or XML: an answer is written as its client accepts it, or as the path ends (`.xml`).

Bodies come in as JSON only. What XML looks like follows the REST guide's examples: a list is its
element repeated, a record carries its type and url as attributes, and nothing is `xsi:nil`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from pipelines.emulator.messages import Answer, ApiError, Call

XML_ANSWER = "application/xml;charset=UTF-8"
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
ENDING = re.compile(r"(/services/.+)\.(json|xml)")
# What XML 1.0 cannot hold, not even escaped.
UNSPEAKABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
ROOTS = (
    (re.compile(r"/services/oauth2/.*"), "OAuth"),
    (re.compile(r".*/(?:query|queryAll)(?:/.*)?"), "QueryResult"),
    (re.compile(r".*/sobjects"), "DescribeGlobal"),
    (re.compile(r".*/sobjects/[^/]+/describe"), "DescribeSObject"),
    (re.compile(r".*/limits"), "LimitsSnapshot"),
)
JSON_BODIES = ("application/json", "multipart/form-data", "text/csv")


def without_ending(call: Call) -> Call:
    """A path that says its form, as the resource is called; the form goes where Accept stood."""
    found = ENDING.fullmatch(call.path)
    if found is None:
        return call
    headers = dict(call.headers) | {"accept": f"application/{found[2]}"}
    return replace(call, path=found[1], headers=headers)


def check_body(call: Call) -> None:
    """Refuse a body of another form than the resources read; without a word it is JSON."""
    said = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if call.body and said and not said.endswith("+json") and said not in JSON_BODIES:
        message = f"the content type {said} is not supported; send application/json"
        raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", message)


def represented(call: Call, answer: Answer) -> Answer:
    """The answer in the form that the client prefers; only what is JSON has another form."""
    if answer.value is None or not _prefers_xml(call.headers.get("accept", "")):
        return answer
    root, value = _rooted(call, answer)
    inner = _children(value) if isinstance(value, Mapping) else escape(_word(value))
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?><{root}{_attributes(value)}'
        f' xmlns:xsi="{INSTANCE}">{inner}</{root}>'
    )
    return replace(answer, value=None, text=text, content_type=XML_ANSWER)


def _prefers_xml(accept: str) -> bool:
    shares = {"xml": 0.0, "json": 0.0}
    for part in accept.lower().split(","):
        kind, _, parameters = part.strip().partition(";")
        form = "xml" if kind in {"application/xml", "text/xml"} else "json"
        if form == "xml" or kind in {"application/json", "application/*", "*/*"}:
            shares[form] = max(shares[form], _quality(parameters))
    return shares["xml"] > shares["json"]


def _quality(parameters: str) -> float:
    found = re.search(r"\bq\s*=\s*([01](?:\.\d{1,3})?)", parameters)
    return 1.0 if found is None else float(found[1])


def _rooted(call: Call, answer: Answer) -> tuple[str, Any]:
    """The name of the whole, and the list in it under the name of its parts."""
    value = answer.value
    if isinstance(value, list):
        if answer.status >= 400:
            return "Errors", {"Error": value}
        if call.path == "/services/data":
            return "Versions", {"Version": value}
        return "Results", {"Result": value}
    kind = value.get("attributes", {}).get("type") if isinstance(value, dict) else None
    if kind:
        return str(kind), value
    named = (name for pattern, name in ROOTS if pattern.fullmatch(call.path))
    return next(named, "Result"), value


def _children(values: Mapping[str, Any]) -> str:
    return "".join(_element(name, value) for name, value in values.items() if name != "attributes")


def _element(name: str, value: Any) -> str:
    # A name is a field's or a limit's; a few of the org's own are no XML names as they stand.
    name = re.sub(r"[^\w.-]", "_", name)
    if isinstance(value, list):
        return "".join(_element(name, one) for one in value)
    if value is None:
        return f'<{name} xsi:nil="true"/>'
    inner = _children(value) if isinstance(value, Mapping) else escape(_word(value))
    return f"<{name}{_attributes(value)}>{inner}</{name}>"


def _attributes(value: Any) -> str:
    return "".join(_attribute_texts(value)) if isinstance(value, Mapping) else ""


def _attribute_texts(value: Mapping[str, Any]) -> Iterator[str]:
    for name, text in (value.get("attributes") or {}).items():
        yield f" {name}={quoteattr(str(text))}"


def _word(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return UNSPEAKABLE.sub("\N{REPLACEMENT CHARACTER}", text)
