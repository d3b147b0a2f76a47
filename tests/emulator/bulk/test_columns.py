"""Loading by column must be loading row by row, only quicker."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from pipelines.emulator.bulk.csv_rows import csv_line, open_upload, read_windows, single_rows
from pipelines.emulator.bulk.result_lines import quoted_lines
from pipelines.emulator.bulk.uploads import BrokenRow, JobDataError, Layout, check_lines
from pipelines.emulator.org.arrow_arrays import strings
from pipelines.emulator.org.columns import clean_column
from pipelines.emulator.org.schema import Field
from pipelines.emulator.org.values import ABSENT, Cell, Failure, cell_value
from tests.emulator.conftest import OrgOf
from tests.emulator.plain_http import Client

ANY_FILE = st.text(alphabet='a,"\n\r\té\x00\ufeff #', max_size=60)
LAYOUTS = st.builds(Layout, st.sampled_from(",\t"), st.sampled_from(["LF", "CRLF"]), st.booleans())


def in_pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def file_error(data: bytes, size: int, layout: Layout) -> str:
    """Return why a file is rejected as a whole, or "" where it is not."""
    try:
        check_lines(lambda: in_pieces(data, size), layout)
    except JobDataError as error:
        return str(error)
    return ""


def row_by_row(data: bytes, layout: Layout) -> list[list[str] | None]:
    """The rows after the header, read one by one; None for one that cannot be cut."""
    _, blocks = open_upload(in_pieces(data, len(data) or 1), layout)
    rows = single_rows(blocks, layout, 0)
    return [None if isinstance(cells, BrokenRow) else cells for cells in rows]


def by_column(
    data: bytes, size: int, layout: Layout, width: int, skip: int = 0
) -> list[list[str] | None]:
    """The same by column; None for one that does not fit the header."""
    _, blocks = open_upload(in_pieces(data, size), layout)
    rows: list[list[str] | None] = []
    for window in read_windows(blocks, layout, width, skip):
        cells = iter(zip(*(column.to_pylist() for column in window.texts), strict=True))
        broken = window.broken
        rows += [None if row in broken else list(next(cells)) for row in range(window.count)]
    return rows


@given(ANY_FILE, LAYOUTS, st.integers(1, 40), st.integers(1, 3))
@example('h\n"a","b\n', Layout(",", "LF", True), 1, 2)
@example("h\n\ufeffa,b\n", Layout(",", "LF", True), 9, 2)
@example('h\r\n"a\r\n",b\r\n\r\n', Layout(",", "CRLF", True), 2, 2)
def test_a_file_has_the_same_rows_read_by_column_as_read_one_by_one(
    text: str, layout: Layout, size: int, width: int
) -> None:
    data = text.encode()
    one_by_one = row_by_row(data, layout)
    fitting = [cells if cells and len(cells) == width else None for cells in one_by_one]
    assert by_column(data, size, layout, width) == fitting
    assert by_column(data, size, layout, width, skip=1) == fitting[1:]


@given(st.lists(st.lists(st.text(max_size=6), min_size=2, max_size=2), max_size=8), LAYOUTS)
def test_what_a_csv_writer_wrote_is_read_back_cell_for_cell(
    rows: list[list[str]], layout: Layout
) -> None:
    file = io.StringIO(newline="")
    end = {"LF": "\n", "CRLF": "\r\n"}[layout.line_ending]
    writer = csv.writer(file, delimiter=layout.delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([["h", "i"], *rows])
    data = file.getvalue().encode("utf-8", "surrogatepass")
    assert by_column(data, 7, layout, 2) == rows


@given(ANY_FILE, LAYOUTS, st.integers(1, 40))
def test_line_endings_are_checked_alike_however_the_file_arrives(
    text: str, layout: Layout, size: int
) -> None:
    data = text.encode()
    assert file_error(data, size, layout) == file_error(data, len(data) + 1, layout)


@pytest.mark.parametrize(
    ("text", "ending", "newlines", "passes"),
    [
        ("a\nb\n", "LF", False, True),
        ("a\r\nb\r\n", "LF", False, False),
        ("a\nb\n", "CRLF", False, False),
        ("a\r\nb\r\n", "CRLF", False, True),
        ("a\r\nb", "CRLF", False, True),
        ('a\n"b\nc"\n', "LF", False, False),
        ('a\n"b\nc"\n', "LF", True, True),
        ('a\n"b\rc"\n', "LF", True, True),
        ('a\r\n"b\nc"\r\n', "CRLF", True, True),
        ('a\n"b\n', "LF", True, False),
    ],
)
def test_line_endings(text: str, ending: str, newlines: bool, passes: bool) -> None:
    verdicts = {
        file_error(text.encode(), size, Layout(",", ending, newlines)) for size in (1, 2, 99)
    }
    assert (verdicts == {""}) is passes


def test_an_unclosed_quote_does_not_swallow_the_rest_of_the_file() -> None:
    line = "x" * 99_999
    data = f'h\n"{line}\n{line}\n{line}\n{line}\n{line}\na\nb"\nc\n'.encode()
    layout = Layout(",", "LF", True)
    assert by_column(data, 1 << 16, layout, 1) == row_by_row(data, layout)
    assert row_by_row(data, layout) == [None, ["a"], None]


def parsed_cells(field: Field, text: str) -> tuple[Cell, str]:
    try:
        return cell_value(field, text), ""
    except Failure as failure:
        return ABSENT, failure.message


FIELDS = [
    Field("Company", "Company", "string", 8),
    Field("Note", "Note", "textarea"),
    Field("Email", "Email", "email", 20),
    Field("Size", "Size", "picklist", 40, picklist=("S", "M"), restricted=True),
    Field("Opted", "Opted", "boolean"),
    Field("Count", "Count", "int", precision=8),
    Field("Worth", "Worth", "currency", precision=8, scale=2),
    Field("Day", "Day", "date"),
    Field("At", "At", "datetime"),
    Field("OwnerId", "Owner ID", "reference"),
]
CELLS = st.one_of(
    st.text(alphabet="aÄ𝄞 \t\u00a0#N/A", max_size=10),
    st.sampled_from(["#N/A", "A.B@x.org", ".a@x.org", "a@x", "S", "TRUE", "1", "1e3", "007"]),
    st.sampled_from(["2024-02-29", "2024-02-30", "2024-01-01T00:00:00Z", "0055e00000AbCd1AAF"]),
)


@given(st.sampled_from(FIELDS), st.lists(CELLS, max_size=12))
def test_a_column_is_parsed_as_its_cells_are(field: Field, texts: list[str]) -> None:
    cells, failures = clean_column(field, strings(["skipped", *texts]).slice(1))
    seen = [(cell, failures[r].message if r in failures else "") for r, cell in enumerate(cells)]
    assert seen == [parsed_cells(field, text) for text in texts]


@given(st.lists(st.tuples(*[st.text(alphabet='a",\né', max_size=5)] * 3), min_size=1, max_size=6))
def test_result_lines_by_column_are_the_lines_of_each_row(rows: list[tuple[str, str, str]]) -> None:
    columns = [strings(column) for column in zip(*rows, strict=True)]
    lines = [line.encode() for line in quoted_lines(columns, ";", "\r\n").to_pylist()]
    assert lines == [csv_line(row, ";", "\r\n") for row in rows]


# -- whole jobs: stretches of many chunks against chunk after chunk --------------------------------

RULES = """
[[queue]]
developer_name = "Dach"
name = "DACH"
[[assignment_rule]]
name = "Routing"
active = true
[[assignment_rule.entry]]
when = { Country = ["DE", "AT"] }
assign_to = "queue:Dach"
[[duplicate_rule]]
name = "Leads like leads"
[[validation_rule]]
object = "Lead"
when = { Country = ["XX"] }
message = "nowhere"
"""
# A fault that never strikes makes a job go chunk by chunk.
CHUNK_BY_CHUNK: dict[str, Any] = {"job": "nth:1", "count": 9, "fault": "fail_after_chunk:9999"}


def outcome(org: Client, texts: list[str], **job: Any) -> dict[str, Any]:
    """All that a client can see of some jobs, but for the moments."""
    loaded = [org.load(text, **job) for text in texts]
    leads = org.control("GET", "org").json()["leads"]
    moments = {"CreatedDate", "LastModifiedDate", "SystemModstamp"}
    return {
        "files": [one.texts for one in loaded],
        "counts": [{k: v for k, v in one.info.items() if k.startswith("number")} for one in loaded],
        "leads": [{k: v for k, v in lead.items() if k not in moments} for lead in leads],
    }


LOOKS = {
    "first": ["Ada", "A", "", " Bob "],
    "last": ["Byron", "BYRON", "Ünal", "#N/A"],
    "mail": ["u{n}@example.com", "", "SAME@example.com", "x"],
    "phone": ["+49 {n}", "", "0151", "01-51"],
    "country": ["DE", "", "at", "XX"],
    "key": ["k{n}", "K{n}", "twin", ""],
}
ROW = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in LOOKS.items()})
USUAL = {name: values[0] for name, values in LOOKS.items()}
HEADER = "FirstName,LastName,Company,Email,Phone,Country,Person_Id__c\n"


def line(n: int, row: dict[str, str]) -> str:
    cells = [row["first"], row["last"], "C", row["mail"], row["phone"], row["country"], row["key"]]
    return ",".join(cell.replace("{n}", str(n)) for cell in cells) + "\n"


def file_of(kinds: list[dict[str, str]], odd: dict[int, str], size: int) -> str:
    rows = [
        odd.get(n) or line(n, kinds[n // 7 % len(kinds)] if n % 7 == 0 else USUAL)
        for n in range(size)
    ]
    return HEADER + "".join(rows)


ODD = st.dictionaries(
    st.integers(0, 899),
    st.sampled_from(
        ["short\n", 'a"b,c,d,e,f,g,h\n', '"x ""y""",L,C,,,,\n', "\n", "1,2,3,4,5,6,7,8\n"]
    ),
    max_size=6,
)


@given(st.lists(ROW, min_size=1, max_size=5), ODD, st.sampled_from(["insert", "upsert"]))
@example([USUAL | {"key": "twin"}], {}, "insert")
@example([USUAL | {"mail": "SAME@example.com"}], {}, "insert")
@example([USUAL | {"phone": "0151"}, USUAL | {"phone": "01-51", "mail": ""}], {}, "insert")
@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    # Whole jobs are too slow to shrink.
    phases=[Phase.explicit, Phase.generate],
)
def test_chunks_saved_together_come_out_as_chunks_saved_one_by_one(
    org_of: OrgOf, kinds: list[dict[str, str]], odd: dict[int, str], operation: str
) -> None:
    texts = [file_of(kinds, odd, 900), file_of(kinds[::-1], {}, 300)]
    key = {"externalIdFieldName": "Person_Id__c"} if operation == "upsert" else {}
    org = org_of(RULES)
    rule = org.rows("SELECT Id FROM AssignmentRule")[0]["Id"]
    together = outcome(org, texts, operation=operation, assignmentRuleId=rule, **key)
    org = org_of(RULES)
    org.faults(CHUNK_BY_CHUNK)
    assert outcome(org, texts, operation=operation, assignmentRuleId=rule, **key) == together


def test_updates_and_deletes_too_come_out_the_same(org: Client) -> None:
    def changed(*faults: dict[str, Any]) -> str:
        org.reset()
        made = org.load("LastName,Company\n" + "".join(f"n{n},C\n" for n in range(700)))
        ids = [row["sf__Id"] for row in made.successful]
        # The second change of a lead must see what the first one did.
        cities = "".join(f"{id_},{n},\n" for n, id_ in enumerate(ids))
        titles = "".join(f"{id_},,{n}\n" for n, id_ in enumerate([*ids[:50], "x"]))
        org.faults(*faults)
        seen = [
            outcome(org, ["Id,City,Title\n" + cities + titles], operation="update"),
            outcome(org, ["Id\n" + "\n".join([*ids, *ids[:3]])], operation="delete"),
        ]
        return json.dumps(seen)

    assert changed() == changed(CHUNK_BY_CHUNK)


def test_a_rule_that_looks_at_a_hidden_field_goes_by_the_others(org_of: OrgOf) -> None:
    hidden = '[[hidden_field]]\nobject = "Lead"\nname = "Phone"\n'
    org = org_of(RULES + hidden)
    lead = {"LastName": "Byron", "FirstName": "Ada", "Email": "ada@example.com"}
    org.lead(**lead)
    assert org.create(Company="C", **lead).json()[0]["errorCode"] == "DUPLICATES_DETECTED"


def test_a_job_larger_than_a_window_keeps_every_row_once(org: Client) -> None:
    rows = [f"n{n}" for n in range(23_456)]
    long = "d" * 60
    text = "LastName,Company,Description\n" + "".join(f"{name},C,{long}\n" for name in rows)
    loaded = org.load(text)
    assert sorted(row["LastName"] for row in loaded.successful) == sorted(rows)
    assert loaded.info["numberRecordsProcessed"] == len({r["sf__Id"] for r in loaded.successful})
