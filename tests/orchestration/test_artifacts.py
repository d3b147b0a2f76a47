"""What a run's page in Prefect shows: a summary in Markdown, and a chart."""

from __future__ import annotations

import base64
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from pipelines.orchestration.artifacts import as_markdown, chart, failed_before_start
from pipelines.run.summaries import balance
from tests.cli.test_summary import owned_by, run_row, summary


def cells(line: str) -> list[str]:
    """The cells of a row of a Markdown table: parted by every pipe that is not escaped."""
    return re.split(r"(?<!\\)\|", line)


def naughty(shared_data: Path) -> list[str]:
    file = shared_data / "naughty-strings" / "blns.json"
    strings: list[str] = json.loads(file.read_text(encoding="utf-8"))
    return [one for one in strings if one.strip()]


def test_naughty_owner_names_leave_the_table_intact(shared_data: Path) -> None:
    names = naughty(shared_data)
    page = as_markdown(owned_by(*names))
    table = page.split("|---|--:|---|\n")[1].split("\n")
    assert len(names) > 400
    assert all(len(cells(row)) == 5 for row in table)
    assert sum(int(cells(row)[2]) for row in table) == len(names)


def test_naughty_owner_names_make_no_markup(shared_data: Path) -> None:
    page = as_markdown(owned_by(*naughty(shared_data)))
    assert not re.search(r"<[a-zA-Z/!]", page)
    assert not re.search(r"(?<!\\)\]\(", page)
    # The only backticks that count are those around the run id.
    assert len(re.findall(r"(?<!\\)`", page)) == 2


BACKSLASHED = [r"a\|b", r"a\\|b", r"\`x\`", "\\", r"\[x](http://x.example)"]


@pytest.mark.parametrize("name", BACKSLASHED)
def test_a_backslash_before_a_mark_does_not_undo_its_escape(name: str) -> None:
    row = as_markdown(owned_by(name)).splitlines()[-1]
    # An even number of backslashes before a mark leaves the mark itself bare.
    assert not re.search(r"(?<!\\)(?:\\\\)+[|`\[\]]", row)
    assert len(cells(row)) == 5


def test_the_page_shows_the_balance_and_the_run() -> None:
    run = run_row(created=2)
    page = as_markdown(summary(run))
    assert page.startswith(f"## live run finished\n\n**{balance(run)}**\n")
    assert page.endswith("9 API calls. Run id `R1`.")


def test_each_reason_has_its_remedy_beside_it() -> None:
    reason = {"rule_name": "company_missing", "person_count": 1234}
    words = {"description": "The company is blank.", "remedy": "Fill it in | or set one."}
    page = as_markdown(summary(run_row(rejected=1234), reasons=[reason | words]))
    assert page.endswith(
        "| company_missing | 1,234 | The company is blank. | Fill it in \\| or set one. |"
    )


def test_a_failed_run_has_its_sentence_on_the_page() -> None:
    page = as_markdown(summary(run_row(open=3)), "transient: no answer; 3 persons stay open")
    assert "\n\ntransient: no answer; 3 persons stay open\n" in page
    assert failed_before_start("no <b>warehouse").endswith("no &lt;b&gt;warehouse")


# --- The chart


def bars(url: str | None) -> dict[str, tuple[float, str]]:
    """The chart's bars: how long each is, and the number next to it."""
    assert url is not None
    prefix, _, encoded = url.partition(",")
    assert prefix == "data:image/svg+xml;base64"
    svg = ElementTree.fromstring(base64.b64decode(encoded))  # noqa: S314 - our own
    ns = "{http://www.w3.org/2000/svg}"
    texts = [one.text or "" for one in svg.iter(f"{ns}text")]
    background, *lengths = [float(one.attrib["width"]) for one in svg.iter(f"{ns}rect")]
    assert background == float(svg.attrib["width"])
    pairs = zip(texts[::2], zip(lengths, texts[1::2], strict=True), strict=True)
    return dict(pairs)


def test_the_chart_has_a_bar_for_each_outcome_in_proportion() -> None:
    drawn = bars(chart(summary(run_row(created=2000, rejected=1000, held=1))))
    assert {name: words for name, (_, words) in drawn.items()} == {
        "created": "2,000",
        "rejected": "1,000",
        "held": "1",
    }
    assert drawn["created"][0] == pytest.approx(2 * drawn["rejected"][0], abs=1)
    assert drawn["held"][0] >= 2  # one of many is still to be seen


def test_the_chart_of_a_plan_shows_what_would_be() -> None:
    planned = [
        {"decision": decision, "person_count": count, "owner_name": None, "owner_strategy": "rules"}
        for decision, count in (("create", 5), ("update", 2), ("duplicate", 1), ("reject", 3))
    ]
    run = run_row() | {"run_mode": "plan"}
    words = {
        name: number for name, (_, number) in bars(chart(summary(run, planned=planned))).items()
    }
    assert words == {"created": "5", "updated": "2", "duplicate": "1", "rejected": "3"}


def test_a_run_that_read_no_person_has_no_chart() -> None:
    assert chart(summary(run_row())) is None


def test_a_chart_is_small() -> None:
    assert len(chart(summary(run_row(**dict.fromkeys(("created", "held"), 10**9)))) or "") < 4000
