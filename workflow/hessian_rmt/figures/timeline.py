"""Which job ran when, and what the cores did."""

from collections.abc import Sequence
from typing import Any

from hessian_rmt.figures.style import PALETTE, new_figure
from hessian_rmt.timeline import Span, by_stage, lanes, shares

GREY = "#BBBBBB"


def timeline(spans: Sequence[Span]) -> Any:
    """A bar for each job in a free lane, and each stage's seconds. spans: of `one_run`."""
    stages = by_stage(spans)
    colours = {stage: _colour(i) for i, stage in enumerate(stages)}
    figure, axes = new_figure(2, 1, panel=(7.0, 1.9))
    gantt, sums = axes[:, 0]
    lane_of = lanes(spans)
    for span, lane in zip(spans, lane_of, strict=True):
        gantt.barh(lane, span.work, left=span.began, height=0.9, **colours[span.stage])
        gantt.barh(lane, span.imports, left=span.start, height=0.9, color=GREY)
    found = shares(spans)
    gantt.set(xlabel="seconds since the first job", ylabel="job at once")
    gantt.yaxis.get_major_locator().set_params(integer=True)
    gantt.set_title(
        f"{len(spans)} jobs in {found.wall / 60:.1f} minutes: {100 * found.work:.0f} % work, "
        f"{100 * found.imports:.0f} % imports, {100 * found.rest:.0f} % neither"
    )
    names = [f"{stage} ({jobs} jobs)" for stage, (jobs, _, _) in stages.items()]
    for i, (stage, (_, work, imports)) in enumerate(stages.items()):
        sums.barh(i, work, **colours[stage])
        sums.barh(i, imports, left=work, color=GREY)
    sums.set_yticks(range(len(names)), names)
    sums.invert_yaxis()
    sums.set(xlabel="seconds of all jobs together (grey: imports)")
    figure.set_size_inches(7.0, 1.9 + min(0.35 * found.cores, 6) + 0.2 * len(names))
    return figure


def _colour(i: int) -> dict[str, Any]:
    """Of the palette; beyond its end hatched."""
    hatch = ["", "////", "...."][i // len(PALETTE) % 3]
    return {"color": PALETTE[i % len(PALETTE)], "hatch": hatch, "edgecolor": "white", "lw": 0}
