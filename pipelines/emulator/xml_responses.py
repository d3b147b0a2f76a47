"""Write a response as JSON or XML, as the client accepts it or as the path ends (`.xml`).

Request bodies are always JSON. The XML follows the examples in Salesforce's REST guide: a list is
its element repeated, and a record carries its type and url as attributes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from pipelines.emulator.messages import ApiError, ApiRequest, ApiResponse

XML_RESPONSE_TYPE = "application/xml;charset=UTF-8"
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
EXTENSION = re.compile(r"(/services/.+)\.(json|xml)")
# Characters that XML 1.0 cannot contain, not even escaped.
NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
ROOTS = (
    (re.compile(r"/services/oauth2/.*"), "OAuth"),
    (re.compile(r".*/(?:query|queryAll)(?:/.*)?"), "QueryResult"),
    (re.compile(r".*/sobjects"), "DescribeGlobal"),
    (re.compile(r".*/sobjects/[^/]+/describe"), "DescribeSObject"),
    (re.compile(r".*/limits"), "LimitsSnapshot"),
)
JSON_BODIES = ("application/json", "multipart/form-data", "text/csv")


def without_extension(request: ApiRequest) -> ApiRequest:
    """Return the request without `.json` or `.xml` in its path; the format replaces Accept."""
    found = EXTENSION.fullmatch(request.path)
    if found is None:
        return request
    headers = dict(request.headers) | {"accept": f"application/{found[2]}"}
    return replace(request, path=found[1], headers=headers)


def check_body(request: ApiRequest) -> None:
    """Raise ApiError (415) where the body's content type is not supported. No type means JSON."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if (
        request.body
        and content_type
        and not content_type.endswith("+json")
        and content_type not in JSON_BODIES
    ):
        message = f"the content type {content_type} is not supported; send application/json"
        raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", message)


def in_accepted_format(request: ApiRequest, response: ApiResponse) -> ApiResponse:
    """Return the response in the format that the client prefers; only JSON values are converted."""
    if response.value is None or not _prefers_xml(request.headers.get("accept", "")):
        return response
    root, value = _root_element(request, response)
    inner = _children(value) if isinstance(value, Mapping) else escape(_text(value))
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?><{root}{_attributes(value)}'
        f' xmlns:xsi="{INSTANCE}">{inner}</{root}>'
    )
    return replace(response, value=None, text=text, content_type=XML_RESPONSE_TYPE)


def _prefers_xml(accept: str) -> bool:
    qualities = {"xml": 0.0, "json": 0.0}
    for part in accept.lower().split(","):
        kind, _, parameters = part.strip().partition(";")
        form = "xml" if kind in {"application/xml", "text/xml"} else "json"
        if form == "xml" or kind in {"application/json", "application/*", "*/*"}:
            qualities[form] = max(qualities[form], _quality(parameters))
    return qualities["xml"] > qualities["json"]


def _quality(parameters: str) -> float:
    found = re.search(r"\bq\s*=\s*([01](?:\.\d{1,3})?)", parameters)
    return 1.0 if found is None else float(found[1])


def _root_element(request: ApiRequest, response: ApiResponse) -> tuple[str, Any]:
    """Return the name of the XML root, and its content with lists under their element names."""
    value = response.value
    if isinstance(value, list):
        if response.status >= 400:
            return "Errors", {"Error": value}
        if request.path == "/services/data":
            return "Versions", {"Version": value}
        return "Results", {"Result": value}
    kind = value.get("attributes", {}).get("type") if isinstance(value, dict) else None
    if kind:
        return str(kind), value
    named = (name for pattern, name in ROOTS if pattern.fullmatch(request.path))
    return next(named, "Result"), value


def _children(values: Mapping[str, Any]) -> str:
    return "".join(_element(name, value) for name, value in values.items() if name != "attributes")


def _element(name: str, value: Any) -> str:
    # Names come from fields and limits; a few of them are not valid XML names.
    name = re.sub(r"[^\w.-]", "_", name)
    if isinstance(value, list):
        return "".join(_element(name, item) for item in value)
    if value is None:
        return f'<{name} xsi:nil="true"/>'
    inner = _children(value) if isinstance(value, Mapping) else escape(_text(value))
    return f"<{name}{_attributes(value)}>{inner}</{name}>"


def _attributes(value: Any) -> str:
    return "".join(_attribute_texts(value)) if isinstance(value, Mapping) else ""


def _attribute_texts(value: Mapping[str, Any]) -> Iterator[str]:
    for name, text in (value.get("attributes") or {}).items():
        yield f" {name}={quoteattr(str(text))}"


def _text(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)
