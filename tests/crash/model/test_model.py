"""The model within small budgets: the protocol breaks no law, and each planted bug does."""

from __future__ import annotations

import pytest

from pipelines.steps import job_results
from tests.crash.model.bugs import Bug, bugs
from tests.crash.model.search import Search, search
from tests.crash.model.settings import QUICK, Drawn, setting_of
from tests.crash.model.trace import draw
from tests.crash.model.units import as_it_is


@pytest.mark.parametrize("has_field", [True, False], ids=["with the field", "without the field"])
@pytest.mark.parametrize("drawn", QUICK, ids=lambda drawn: f"{drawn[0]} {drawn[1]}")
def test_no_schedule_makes_a_second_lead_or_loses_anybody(drawn: Drawn, has_field: bool) -> None:
    found = search(setting_of(has_field, drawn))
    assert not found.summary.broken, draw(found.story)
    assert found.is_complete
    assert found.summary.schedule_count > 1000


@pytest.mark.parametrize("bug", bugs(), ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(bug: Bug) -> None:
    found = search(bug.setting)
    assert bug.breaks in found.summary.broken
    assert 0 < found.summary.violating_count <= found.summary.schedule_count


@pytest.mark.parametrize("has_field", [True, False], ids=["with the field", "without the field"])
def test_a_ledger_restored_to_its_beginning_makes_second_leads_only_without_the_field(
    has_field: bool,
) -> None:
    # What the design knows and the field is for (W20): nothing asks the org for jobs unknown.
    found = search(setting_of(has_field, QUICK[0], restores=True))
    assert ("a second lead" in found.summary.broken) is not has_field


def test_a_story_is_the_shortest_schedule_that_breaks_a_law_and_ends_with_that_law() -> None:
    (bug,) = [one for one in bugs() if one.name == "found: payload kept past a collections call"]
    found = search(bug.setting)
    assert len(found.story) == found.summary.distance + 1
    drawn = draw(found.story)
    assert "send_records insert (Ada, Bob, Cyd), a record locked" in drawn
    assert drawn.endswith("— in the end: a second lead —")


def test_a_search_that_is_stopped_says_that_it_is_not_complete() -> None:
    found = Search(setting_of(True, QUICK[0]), most_states=100).run()
    assert (found.is_complete, found.summary.schedule_count) == (False, 0)


def test_the_model_is_as_patient_as_the_code() -> None:
    model = as_it_is(has_field=True)
    code = (job_results.MAX_READS, job_results.MAX_ATTEMPTS)
    assert (model.read_times, model.most_attempts) == code
