"""The contest as a picture: seconds a million persons, by stage, for every engine, org and size."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

from tests.benchmarks.samples import MILLION, Case, Samples

_WIDTH, _ROW, _MARGIN = 11.0, 0.36, 1.6
_WIDE_ENOUGH = 0.07  # of the panel, for a word to fit into
_COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#9d755d")


def draw(samples: Samples, file: Path) -> None:
    """Write the picture. Each bar ends at its median, with the least and the most as a whisker."""
    # Imported here: a bench without a chart need not have it, and it takes a second.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [list(cases) for _, cases in groupby(samples.cases(), key=_panel)]
    heights = [len(cases) for cases in panels]
    figure = Figure(figsize=(_WIDTH, sum(heights) * _ROW + len(panels) * _MARGIN))
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
    for (place,), cases in zip(axes, panels, strict=True):
        _draw_panel(place, samples, cases)
    figure.tight_layout()
    figure.savefig(file, dpi=120)


def _panel(case: Case) -> tuple[int, str, str]:
    return case.person_count, case.org, case.database


def _draw_panel(place: Any, samples: Samples, cases: list[Case]) -> None:
    first = cases[0]
    title = f"{first.person_count:,} persons, {first.database}, {first.org}"
    place.set_title(title, loc="left", fontsize=10)
    works = {case: samples.figure(case, "work_seconds") for case in cases}
    widest = max(work.most for work in works.values() if work) * MILLION / first.person_count
    for height, case in enumerate(reversed(cases)):
        _draw_bar(place, samples, case, height, widest)
    place.set_yticks(range(len(cases)), [case.contestant for case in reversed(cases)])
    place.set_xlabel("seconds a million persons", fontsize=8)
    place.margins(x=0.12)
    for side in ("top", "right"):
        place.spines[side].set_visible(False)


def _draw_bar(place: Any, samples: Samples, case: Case, height: int, widest: float) -> None:
    scale, left = MILLION / case.person_count, 0.0
    for number, (name, wall, *_) in enumerate(samples.stages(case)):
        seconds = wall.median * scale
        bar = place.barh(height, seconds, left=left, color=_COLOURS[number % len(_COLOURS)])
        if seconds > widest * _WIDE_ENOUGH:
            place.bar_label(bar, [name], label_type="center", fontsize=6)
        left += seconds
    work = samples.figure(case, "work_seconds")
    assert work
    ends = [[(work.median - work.least) * scale], [(work.most - work.median) * scale]]
    place.errorbar(work.median * scale, height, xerr=ends, color="black", capsize=3, linewidth=1)
    words = f"  {work.median * scale:,.1f} s"
    place.annotate(words, (max(work.most * scale, left), height), va="center", fontsize=8)
