"""Figures of `applicability`: global density (1), surmise (2), spacings and ratios (4, S)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
LARGEST_SPACING, LARGEST_RATIO = 4.0, 10.0
ARM_LABELS = {"signal": "signal only", "cut": "paper's cut, 1e-20", "round_off": "round-off only"}
ARM_COLORS = {"signal": BLUE, "cut": ORANGE, "round_off": VERMILION}
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
        ax.set_title(title)
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
    s = np.linspace(0, LARGEST_SPACING, 401)
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
    figure, axes = new_figure(len(cells), 2, panel=(3.0, 1.9))
    for cell, (spacings, ratios) in zip(cells, axes, strict=True):
        _histograms(spacings, cell, "spacings", LARGEST_SPACING, 40)
        _histograms(ratios, cell, "ratios", LARGEST_RATIO, 60)
        x = np.linspace(0, LARGEST_SPACING, 201)
        spacings.plot(x, goe_spacing.density(x), color="k", lw=0.9, label="GOE")
        spacings.plot(x, poisson_spacing.density(x), ":", color="0.5", lw=0.9, label="Poisson")
        x = np.linspace(0, LARGEST_RATIO, 401)
        ratios.plot(x, ratio_surmise.density(x), color="k", lw=0.9, label="GOE surmise")
        ratios.plot(x, poisson_ratio.density(x), ":", color="0.5", lw=0.9, label="Poisson")
        spacings.set_ylabel(f"{cell.label}\ndensity")
        for ax in (spacings, ratios):
            ax.legend(loc="upper right")
    for ax, label in zip(axes[-1], ("unfolded spacing $s$", "spacing ratio $r$"), strict=True):
        ax.set_xlabel(label)
    save_figure(figure, files, HISTOGRAM_COLUMNS, _histogram_rows(cells))


def _histograms(ax: Any, cell: Cell, quantity: str, largest: float, bins: int) -> None:
    for arm in ARMS:
        histogram = _histogram(cell, arm, quantity, largest, bins)
        if histogram is None:
            continue
        edges, density, _ = histogram
        label = ARM_LABELS[arm]
        if quantity == "ratios":
            mean = cell.statistics[f"{arm}/mean_bounded_ratio"]
            error = (cell.statistics[f"{arm}/high"] - cell.statistics[f"{arm}/low"]) / 2
            label += rf": $\langle \tilde r \rangle$ = {mean:.4f} $\pm$ {error:.4f}"
        else:
            label += f", p = {cell.statistics[f'{arm}/spacing_p_value']:.2f}"
        filled = arm == "signal"
        ax.stairs(
            density,
            edges,
            fill=filled,
            color=ARM_COLORS[arm],
            alpha=0.45 if filled else 1,
            label=label,
        )


def _histogram(
    cell: Cell, arm: str, quantity: str, largest: float, bins: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Edges, density and counts up to `largest`; what lies beyond counts in the total."""
    values = cell.statistics.get(f"{arm}/{quantity}")
    if values is None or not len(values):
        return None
    counts, edges = np.histogram(values, np.linspace(0, largest, bins + 1))
    return edges, counts / (len(values) * np.diff(edges)), counts


def _histogram_rows(cells: Sequence[Cell]) -> Iterator[list[Any]]:
    quantities = (("spacings", LARGEST_SPACING, 40), ("ratios", LARGEST_RATIO, 60))
    for cell in cells:
        for arm in ARMS:
            for quantity, largest, bins in quantities:
                histogram = _histogram(cell, arm, quantity, largest, bins)
                if histogram is None:
                    continue
                edges, density, counts = histogram
                data = cell.statistics["data"]
                for i, count in enumerate(counts):
                    ends = (edges[i], edges[i + 1])
                    yield [cell.label, data, arm, quantity, *ends, density[i], int(count)]
