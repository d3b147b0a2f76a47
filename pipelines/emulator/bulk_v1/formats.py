"""Read and write the XML, JSON and CSV of Bulk API 1.0."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from pipelines.emulator.messages import ApiError, parse_json

NAMESPACE = "http://www.force.com/2009/06/asyncapi/dataload"
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
XML_START = '<?xml version="1.0" encoding="UTF-8"?>'
NULL = "#N/A"
# Without a charset: salesforce-bulk compares the whole header.
TYPES = {"CSV": "text/csv", "XML": "application/xml", "JSON": "application/json"}

# A record of a batch: each cell as CSV would write it, whatever the format of the batch.
Record = dict[str, str]


class BulkV1Error(Exception):
    """An error with a code of Bulk API 1.0: `InvalidJob`, `InvalidBatch`, `InvalidSessionId` …"""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def info_text(name: str, info: Mapping[str, object], *, as_json: bool) -> str:
    """Return one `jobInfo`, `batchInfo` or `error` as text."""
    if as_json:
        return json.dumps(info)
    return f'{XML_START}<{name} xmlns="{NAMESPACE}">{_elements(info)}</{name}>'


def list_text(infos: Sequence[Mapping[str, object]], *, as_json: bool) -> str:
    """Return the `batchInfoList` of a job as text."""
    if as_json:
        return json.dumps({"batchInfo": infos})
    inner = "".join(f"<batchInfo>{_elements(info)}</batchInfo>" for info in infos)
    return f'{XML_START}<batchInfoList xmlns="{NAMESPACE}">{inner}</batchInfoList>'


def result_list_text(result_ids: Sequence[str], *, as_json: bool) -> str:
    """Return the list of a query batch's result ids as text."""
    if as_json:
        return json.dumps(result_ids)
    inner = "".join(f"<result>{result_id}</result>" for result_id in result_ids)
    return f'{XML_START}<result-list xmlns="{NAMESPACE}">{inner}</result-list>'


def results_text(results: Sequence[Mapping[str, Any]], content_type: str) -> str:
    """Return the results of a batch as text, one for each record in the order sent."""
    if content_type == "JSON":
        return json.dumps(results)
    if content_type == "XML":
        inner = "".join(f"<result>{_result_elements(result)}</result>" for result in results)
        return f'{XML_START}<results xmlns="{NAMESPACE}">{inner}</results>'
    rows = [
        [r["id"] or "", _text(r["success"]), _text(r["created"]), _error_cell(r["errors"])]
        for r in results
    ]
    return csv_text(["Id", "Success", "Created", "Error"], rows)


def _result_elements(result: Mapping[str, Any]) -> str:
    errors = "".join(f"<errors>{_error_elements(error)}</errors>" for error in result["errors"])
    shown = {name: result[name] for name in ("id", "success", "created")}
    return errors + _elements(shown)


def _error_elements(error: Mapping[str, Any]) -> str:
    fields = "".join(f"<fields>{escape(name)}</fields>" for name in error["fields"])
    return fields + _elements({name: error[name] for name in ("message", "statusCode")})


def _error_cell(errors: Iterable[Mapping[str, Any]]) -> str:
    return "".join(
        f"{e['statusCode']}:{e['message']}:{','.join(e['fields'])}{' ' if e['fields'] else ''}--"
        for e in errors
    )


def query_text(
    names: Sequence[str], records: Sequence[dict[str, Any]], rows: list[list[str]], kind: str
) -> str:
    """Return the records of a query as text."""
    if kind == "JSON":
        return json.dumps(records, ensure_ascii=False)
    if kind == "XML":
        inner = "".join(_record_element("records", record) for record in records)
        space = f'xmlns="{NAMESPACE}" xmlns:xsi="{INSTANCE}"'
        return f"{XML_START}<queryResult {space}>{inner}</queryResult>"
    # A result without records is this sentence, not a header: clients look for it.
    return csv_text(names, rows) if rows else "Records not found for this query"


def _record_element(name: str, record: Mapping[str, Any]) -> str:
    cells = [f"<type>{record['attributes']['type']}</type>"]
    for key, value in record.items():
        if isinstance(value, dict) and key != "attributes":
            cells.append(_record_element(key, value))
        elif value is None:
            cells.append(f'<{key} xsi:nil="true"/>')
        elif key != "attributes":
            cells.append(_elements({key: value}))
    return f'<{name} xsi:type="sObject">{"".join(cells)}</{name}>'


def csv_text(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a CSV text with every cell quoted."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _elements(values: Mapping[str, object]) -> str:
    return "".join(
        f"<{name}>{escape(_text(value))}</{name}>"
        for name, value in values.items()
        if value is not None
    )


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def read_info(body: bytes, *, as_json: bool) -> dict[str, str]:
    """Return the properties of a `jobInfo`; raise BulkV1Error where it cannot be read."""
    if as_json:
        try:
            properties = parse_json(body)
        except ApiError as error:
            raise BulkV1Error("InvalidJob", str(error)) from None
        if not isinstance(properties, dict):
            raise BulkV1Error("InvalidJob", "the jobInfo must be a JSON object")
        return {name: str(value) for name, value in properties.items() if value is not None}
    return {name: text for name, text in _flat(_parsed_xml(body, "InvalidJob")).items() if text}


def read_batch(body: bytes, content_type: str) -> list[Record]:
    """Return the records of a batch; raise BulkV1Error where it cannot be read as a whole."""
    try:
        return _records(body, content_type)
    except RecursionError:
        raise BulkV1Error("InvalidBatch", "the batch is nested too deeply") from None


def _records(body: bytes, content_type: str) -> list[Record]:
    if content_type == "CSV":
        return _csv_records(body)
    if content_type == "XML":
        return [_flat(element_) for element_ in _parsed_xml(body, "InvalidBatch")]
    try:
        records = parse_json(body)
    except ApiError as error:
        raise BulkV1Error("InvalidBatch", f"Failed to parse JSON. {error}") from None
    if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
        raise BulkV1Error("InvalidBatch", "Failed to parse JSON. A batch is a list of records")
    return [_flat_json(record) for record in records]


def _csv_records(body: bytes) -> list[Record]:
    try:
        reader = csv.reader(io.StringIO(body.decode(), newline=""), strict=True)
        rows = [row for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BulkV1Error("InvalidBatch", f"Failed to parse CSV. {error}") from None
    header, *rest = rows or [[]]
    for row in rest:
        if len(row) != len(header):
            message = f"Failed to parse CSV. header = {len(header)} row = {len(row)}"
            raise BulkV1Error("InvalidBatch", message)
    return [dict(zip(header, row, strict=True)) for row in rest]


def _flat_json(record: Mapping[str, Any]) -> Record:
    flat: Record = {}
    for name, value in record.items():
        if isinstance(value, dict) and name != "attributes":
            attributes = value.get("attributes")
            kind = attributes.get("type") if isinstance(attributes, dict) else None
            inner = {f"{name}.{key}": text for key, text in _flat_json(value).items()}
            flat |= {f"{kind}:{key}" if kind else key: text for key, text in inner.items()}
        elif name != "attributes":
            flat[name] = NULL if value is None else _text(value)
    return flat


def _parsed_xml(body: bytes, code: str) -> ElementTree.Element:
    try:
        text = body.decode()
        # No request needs a document type, and one could expand without end.
        if "<!DOCTYPE" in text:
            raise BulkV1Error(code, "a document type is not allowed")
        return ElementTree.fromstring(text)  # noqa: S314 - document types are rejected above
    except (UnicodeDecodeError, ElementTree.ParseError) as error:
        raise BulkV1Error(code, f"Failed to parse XML. {error}") from None


def _flat(element: ElementTree.Element) -> Record:
    flat: Record = {}
    for part in element:
        name = part.tag.rpartition("}")[2]
        inner = next((p for p in part if p.tag.rpartition("}")[2] == "sObject"), None)
        if inner is not None:
            related = _flat(inner)
            kind = related.pop("type", "")
            prefix = f"{kind}:{name}" if kind else name
            flat |= {f"{prefix}.{key}": text for key, text in related.items()}
        elif part.get(f"{{{INSTANCE}}}nil") in {"true", "1"}:
            flat[name] = NULL
        elif name != "type":
            flat[name] = part.text or ""
    return flat
