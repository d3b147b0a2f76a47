"""With small budgets the protocol breaks no invariant, and each planted bug breaks one."""

from __future__ import annotations

import pytest

from pipelines.steps import job_results
from tests.crash.model.bugs import Bug, bugs
from tests.crash.model.search import Search, search
from tests.crash.model.settings import QUICK, SettingRow, setting_of
from tests.crash.model.trace import draw
from tests.crash.model.units import real_protocol


@pytest.mark.parametrize("has_field", [True, False], ids=["with the field", "without the field"])
@pytest.mark.parametrize("row", QUICK, ids=lambda row: f"{row[0]} {row[1]}")
def test_no_schedule_breaks_an_invariant(row: SettingRow, has_field: bool) -> None:
    result = search(setting_of(has_field, row))
    assert not result.summary.broken, draw(result.trace)
    assert result.is_complete
    assert result.summary.schedule_count > 1000


@pytest.mark.parametrize("bug", bugs(), ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(bug: Bug) -> None:
    summary = search(bug.setting).summary
    assert bug.breaks in summary.broken
    assert 0 < summary.violating_count <= summary.schedule_count


@pytest.mark.parametrize("has_field", [True, False], ids=["with the field", "without the field"])
def test_a_ledger_restored_to_its_beginning_creates_second_leads_only_without_the_field(
    has_field: bool,
) -> None:
    # The field is for this case: the model does not search the org for unknown jobs.
    result = search(setting_of(has_field, QUICK[0], restores=True))
    assert ("a second lead" in result.summary.broken) is not has_field


def test_a_trace_is_the_shortest_schedule_that_breaks_an_invariant_and_names_it() -> None:
    (bug,) = [one for one in bugs() if one.name == "found: payload kept after a collections call"]
    result = search(bug.setting)
    assert len(result.trace) == result.summary.distance + 1
    text = draw(result.trace)
    assert "send_records insert (Ada, Bob, Cyd), a record locked" in text
    assert text.endswith("— in the end: a second lead —")


def test_a_search_that_is_stopped_is_not_complete() -> None:
    result = Search(setting_of(True, QUICK[0]), max_states=100).run()
    assert (result.is_complete, result.summary.schedule_count) == (False, 0)


def test_the_model_has_the_limits_of_the_code() -> None:
    model = real_protocol(has_field=True)
    code = (job_results.MAX_READS, job_results.MAX_ATTEMPTS)
    assert (model.read_times, model.max_attempts) == code
