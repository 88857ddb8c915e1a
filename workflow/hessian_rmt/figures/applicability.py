"""Figures of `applicability`: global density (1), surmise (2), spacings and ratios (4, S)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from hessian_rmt.figures.style import BLUE, GREEN, ORANGE, VERMILION, new_figure, save_figure
from hessian_rmt.rmt.local_laws import (
    goe_spacing,
    poisson_ratio,
    poisson_spacing,
    ratio_surmise,
    wigner_surmise,
)
from hessian_rmt.rmt.local_statistics import ARMS

Files = dict[str, str | Path]

# What is plotted of spacings and ratios; the statistics use all of both
LARGEST = {"spacings": 4.0, "ratios": 10.0}
ARM_LABELS = {
    "signal": "signal",
    "full": "signal, full data",
    "cut": "cut at 1e-20",
    "round_off": "round-off",
}
ARM_COLORS = {"signal": BLUE, "full": GREEN, "cut": ORANGE, "round_off": VERMILION}
LEGEND_TITLES = {
    "spacings": "one density, own densities",
    "ratios": r"mean of min$(r, 1/r)$",
}
HISTOGRAM_COLUMNS = ("panel", "data", "arm", "quantity", "low", "high", "density", "count")


@dataclass(frozen=True)
class Cell:
    """Local statistics (`rmt.local_statistics`) of one run, epoch and split; label: in words."""

    label: str
    statistics: Mapping[str, Any]


def draw_density(panels: Mapping[str, tuple[str, np.ndarray, int]], files: Files) -> None:
    """Global spectral densities on a log axis.

    panels: by title, the data in words, the non-zero eigenvalues pooled over matrices, and how many
    eigenvalues there are with the zeros, which are drawn as one bar at the origin.
    """
    figure, axes = new_figure(1, len(panels), panel=(2.3, 2.0))
    rows: list[list[Any]] = []
    for ax, (title, (data, values, total)) in zip(axes[0], panels.items(), strict=True):
        edges = np.linspace(values.min(), values.max(), 101)
        counts, _ = np.histogram(values, edges)
        zeros = total - len(values)
        counts[np.clip(np.searchsorted(edges, 0.0, side="right") - 1, 0, 99)] += zeros
        density = counts / (total * np.diff(edges))
        ax.stairs(density, edges, fill=True, color=BLUE)
        ax.set_yscale("log")
        ax.set_title(title.replace(", ", ",\n", 1))
        ax.set_xlabel(r"eigenvalue $\lambda$")
        rows += [
            [title, data, "signal and zeros", "eigenvalue", low, high, value, int(count)]
            for low, high, value, count in zip(edges, edges[1:], density, counts, strict=False)
        ]
    axes[0, 0].set_ylabel("density")
    save_figure(figure, files, HISTOGRAM_COLUMNS, rows)


def draw_surmise(files: Files) -> None:
    """The Wigner surmise, the exact spacing law of the GOE, and their difference."""
    figure, axes = new_figure(1, 2, panel=(2.8, 2.1))
    s = np.linspace(0, LARGEST["spacings"], 401)
    laws = (("exact GOE", goe_spacing, BLUE), ("Wigner surmise", wigner_surmise, VERMILION))
    for (name, law, color), style in zip(laws, ("-", "--"), strict=True):
        axes[0, 0].plot(s, law.density(s), style, color=color, label=name)
    axes[0, 0].plot(s, poisson_spacing.density(s), ":", color="0.5", label="Poisson")
    axes[0, 0].set_ylabel("density")
    axes[0, 0].legend()
    difference = wigner_surmise.cdf(s) - goe_spacing.cdf(s)
    axes[0, 1].plot(s, difference, color=GREEN)
    axes[0, 1].axhline(0, color="0.6", lw=0.6)
    axes[0, 1].set_ylabel("distribution, surmise $-$ exact")
    for ax in axes[0]:
        ax.set_xlabel("spacing $s$")
    exact, surmise = goe_spacing.density(s), wigner_surmise.density(s)
    rows = zip(s, exact, surmise, difference, strict=True)
    columns = ("spacing", "goe_density", "wigner_density", "wigner_minus_goe_distribution")
    save_figure(figure, files, columns, rows)


def draw_local(cells: Sequence[Cell], files: Files) -> None:
    """Unfolded spacings and ratios of each cell (a row), every arm it has, beside the laws."""
    figure, axes = new_figure(len(cells), 2, panel=(3.2, 2.2))
    laws = {
        "spacings": (goe_spacing, poisson_spacing, "GOE", "unfolded spacing $s$"),
        "ratios": (ratio_surmise, poisson_ratio, "GOE surmise", "spacing ratio $r$"),
    }
    for cell, row in zip(cells, axes, strict=True):
        row[0].set_title(cell.label, loc="left")
        row[0].set_ylabel("density")
        for (quantity, (goe, poisson, name, xlabel)), ax in zip(laws.items(), row, strict=True):
            for arm in ARMS:
                _draw_histogram(ax, cell, arm, quantity)
            x = np.linspace(0, LARGEST[quantity], 401)
            ax.plot(x, goe.density(x), color="k", lw=0.9, label=name)
            ax.plot(x, poisson.density(x), ":", color="0.5", lw=0.9, label="Poisson")
            ax.set_xlabel(xlabel)
            title = LEGEND_TITLES[quantity]
            ax.legend(loc="upper right", title=title, title_fontsize=7)
    save_figure(figure, files, HISTOGRAM_COLUMNS, _histogram_rows(cells))


def _draw_histogram(ax: Any, cell: Cell, arm: str, quantity: str) -> None:
    histogram = _histogram(cell, arm, quantity)
    if histogram is None:
        return
    edges, density, _ = histogram
    matrices = int(cell.statistics[f"{arm}/matrices"])
    name = f"{ARM_LABELS[arm]} ({matrices})"
    if quantity == "ratios":
        mean, low, high = (
            cell.statistics[f"{arm}/{name}"] for name in ("mean_bounded_ratio", "low", "high")
        )
        label = f"{name}: {mean:.4f} $\\pm$ {(high - low) / 2:.4f}"
    else:
        one, own = (
            cell.statistics[f"{arm}/{name}_p_value"] for name in ("spacing", "matched_spacing")
        )
        label = f"{name}: p = {one:.2f}, {own:.2f}"
    filled = arm == "signal"
    color, alpha = ARM_COLORS[arm], 0.45 if filled else 1.0
    ax.stairs(density, edges, fill=filled, color=color, alpha=alpha, label=label)


def _histogram(
    cell: Cell, arm: str, quantity: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Edges, density and counts up to `LARGEST`; what lies beyond counts in the total."""
    values = cell.statistics.get(f"{arm}/{quantity}")
    if values is None or not len(values):
        return None
    if quantity == "spacings":  # multiples of a step: bins hold whole numbers of them
        step = float(cell.statistics[f"{arm}/spacing_step"])
        width = step * np.ceil(0.1 / step)
        edges = np.arange(-0.5 * step, LARGEST[quantity] + width, width)
    else:
        edges = np.linspace(0, LARGEST[quantity], 61)
    counts, _ = np.histogram(values, edges)
    return edges, counts / (len(values) * np.diff(edges)), counts


def _histogram_rows(cells: Sequence[Cell]) -> Iterator[list[Any]]:
    for cell, arm, quantity in product(cells, ARMS, LARGEST):
        histogram = _histogram(cell, arm, quantity)
        if histogram is None:
            continue
        edges, density, counts = histogram
        data = cell.statistics["data"]
        for i, count in enumerate(counts):
            ends = (edges[i], edges[i + 1])
            yield [cell.label, data, arm, quantity, *ends, density[i], int(count)]
