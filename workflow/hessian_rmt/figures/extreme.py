"""Figure X2 of `applicability`: local statistics of certified outermost eigenvalues."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hessian_rmt.figures.style import BLUE, VERMILION, new_figure, save_figure
from hessian_rmt.rmt.local_laws import bounded_poisson_ratio, bounded_ratio_surmise

Statistics = Mapping[str, Any]

EDGES = np.linspace(0, 1, 21)
COLORS = {"top": BLUE, "bottom": VERMILION, "control": "0.55"}
NAMES = {"top": "top", "bottom": "bottom", "control": "control"}
ENDS = ("top", "bottom")
RANKS_SHOWN = 1.3  # times the longest block
COLUMNS = ("panel", "data", "quantity", "arm", "batch", "low", "high", "value", "count")


def draw_extreme(cells: Mapping[str, Statistics], files: dict[str, str | Path]) -> None:
    """Ratios at both ends (left) and residuals by rank (right), a row for each labelled cell.

    cells: `rmt.extreme_statistics.extreme_statistics` by label.
    """
    figure, axes = new_figure(len(cells), 2, panel=(3.4, 2.5))
    for (label, statistics), (ratios, residuals) in zip(cells.items(), axes, strict=True):
        ratios.set_title(label, loc="left")
        _draw_ratios(ratios, statistics)
        _draw_residuals(residuals, statistics)
    save_figure(figure, files, COLUMNS, _rows(cells))


def _draw_ratios(ax: Any, statistics: Statistics) -> None:
    for arm, color in COLORS.items():
        if f"{arm}/count" not in statistics:
            continue
        density, _ = _histogram(statistics, arm)
        value = {
            name: float(statistics[f"{arm}/{name}"])
            for name in ("mean_bounded_ratio", "low", "high", "ratio_p_value")
        }
        label = (
            f"{NAMES[arm]}: {value['mean_bounded_ratio']:.3f} $\\pm$ "
            f"{(value['high'] - value['low']) / 2:.3f}, p = {value['ratio_p_value']:.2f}"
        )
        filled = arm == "top"
        ax.stairs(
            density, EDGES, fill=filled, color=color, alpha=0.4 if filled else 1.0, label=label
        )
    x = np.linspace(0, 1, 201)
    ax.plot(x, bounded_ratio_surmise.density(x), color="k", lw=0.9, label="GOE surmise: 0.531")
    ax.plot(x, bounded_poisson_ratio.density(x), ":", color="k", lw=0.9, label="Poisson: 0.386")
    ax.set_xlabel(r"bounded spacing ratio min$(r, 1/r)$")
    ax.set_ylabel("density")
    ax.set_xlim(0, 1)
    ax.set_ylim(0, max(3.4, ax.get_ylim()[1]))  # room for the legend
    ax.legend(loc="upper left", fontsize=6)


def _draw_residuals(ax: Any, statistics: Statistics) -> None:
    longest = max(statistics[f"{end}/certified"].max() for end in ENDS)
    shown = int(RANKS_SHOWN * longest)
    for end in ENDS:
        residuals = statistics[f"{end}/relative_residual"][:, :shown]
        for batch, certified in zip(residuals, statistics[f"{end}/certified"], strict=True):
            ax.plot(np.arange(1, len(batch) + 1), batch, color=COLORS[end], lw=0.5)
            if certified:
                ax.plot(certified, batch[certified - 1], "o", ms=3, color=COLORS[end])
        ax.plot([], [], color=COLORS[end], label=NAMES[end])
    ax.plot([], [], "o", ms=3, color="0.4", label="end of a certified, complete block")
    share = float(statistics["share"])
    ax.axhline(share, color="k", ls="--", lw=0.8, label=f"{share:.0%} of the mean spacing")
    ax.axvspan(0, int(statistics["dropped"]), color="0.88", label="left out: outliers")
    ax.set_yscale("log")
    ax.set_xlim(0, shown)
    ax.set_ylim(top=1e8)  # room for the legend
    ax.set_xlabel("rank from the end of the spectrum")
    ax.set_ylabel("residual / local mean spacing")
    ax.legend(loc="upper right", fontsize=6)


def _histogram(statistics: Statistics, arm: str) -> tuple[np.ndarray, np.ndarray]:
    ratios = statistics[f"{arm}/bounded_ratios"]
    counts, _ = np.histogram(ratios, EDGES)
    return counts / (len(ratios) * np.diff(EDGES)), counts


def _rows(cells: Mapping[str, Statistics]) -> Iterator[list[Any]]:
    for label, statistics in cells.items():
        data = statistics["data"]
        for arm in COLORS:
            if f"{arm}/count" not in statistics:
                continue
            for low, high, density, count in zip(
                EDGES, EDGES[1:], *_histogram(statistics, arm), strict=False
            ):
                yield [label, data, "density of ratios", arm, "", low, high, density, int(count)]
            names = ("low", "high", "mean_bounded_ratio", "count")
            low, high, mean, count = (statistics[f"{arm}/{name}"] for name in names)
            yield [label, data, "mean bounded ratio", arm, "", low, high, mean, int(count)]
        for end in ENDS:
            residuals, certified = (
                statistics[f"{end}/{name}"] for name in ("relative_residual", "certified")
            )
            for batch, (values, length) in enumerate(zip(residuals, certified, strict=True)):
                for rank, value in enumerate(values[~np.isnan(values)], start=1):
                    kind = "certified" if rank <= length else "not certified"
                    quantity = f"residual over local mean spacing, {kind}"
                    yield [label, data, quantity, end, batch, rank, rank, value, 1]
