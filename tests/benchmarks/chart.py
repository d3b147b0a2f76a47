"""Draw the comparison: seconds per million persons by stage, for each engine, org and size."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

from tests.benchmarks.samples import MILLION, Case, Samples

_WIDTH, _ROW, _MARGIN = 11.0, 0.36, 1.6
_LABEL_WIDTH = 0.07  # of the panel: a narrower bar gets no label
_COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#9d755d")


def draw(samples: Samples, file: Path) -> None:
    """Write the chart. Each bar ends at the median; a whisker shows minimum and maximum."""
    # Imported here: without a chart it is not needed, and it takes a second.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [list(cases) for _, cases in groupby(samples.cases(), key=_panel)]
    heights = [len(cases) for cases in panels]
    figure = Figure(figsize=(_WIDTH, sum(heights) * _ROW + len(panels) * _MARGIN))
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
    for (axis,), cases in zip(axes, panels, strict=True):
        _draw_panel(axis, samples, cases)
    figure.tight_layout()
    figure.savefig(file, dpi=120)


def _panel(case: Case) -> tuple[int, str, str]:
    return case.person_count, case.org, case.database


def _draw_panel(axis: Any, samples: Samples, cases: list[Case]) -> None:
    first = cases[0]
    title = f"{first.person_count:,} persons, {first.database}, {first.org}"
    axis.set_title(title, loc="left", fontsize=10)
    works = {case: samples.figure(case, "work_seconds") for case in cases}
    widest = max(work.maximum for work in works.values() if work) * MILLION / first.person_count
    for height, case in enumerate(reversed(cases)):
        _draw_bar(axis, samples, case, height, widest)
    axis.set_yticks(range(len(cases)), [case.candidate for case in reversed(cases)])
    axis.set_xlabel("seconds a million persons", fontsize=8)
    axis.margins(x=0.12)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _draw_bar(axis: Any, samples: Samples, case: Case, height: int, widest: float) -> None:
    scale, left = MILLION / case.person_count, 0.0
    for number, (name, wall, *_) in enumerate(samples.stages(case)):
        seconds = wall.median * scale
        bar = axis.barh(height, seconds, left=left, color=_COLOURS[number % len(_COLOURS)])
        if seconds > widest * _LABEL_WIDTH:
            axis.bar_label(bar, [name], label_type="center", fontsize=6)
        left += seconds
    work = samples.figure(case, "work_seconds")
    assert work
    ends = [[(work.median - work.minimum) * scale], [(work.maximum - work.median) * scale]]
    axis.errorbar(work.median * scale, height, xerr=ends, color="black", capsize=3, linewidth=1)
    label = f"  {work.median * scale:,.1f} s"
    axis.annotate(label, (max(work.maximum * scale, left), height), va="center", fontsize=8)
