"""Figures of `applicability` section 7: densities (5) and spacing ratios (6), case by case."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from hessian_rmt.figures.style import BLUE, ORANGE, VERMILION, new_figure, save_figure
from hessian_rmt.rmt.local_laws import poisson_ratio, ratio_surmise

Files = dict[str, str | Path]
DENSITY_COLUMNS = (
    *("column", "k1", "k2", "low", "high", "count", "density", "expected_density"),
    *("zeros_per_matrix", "trace_variance_over_corrected", "trace_p_value", "law_p_value"),
)
RATIO_COLUMNS = (
    *("panel", "k1", "k2", "low", "high", "count", "density", "mean_bounded_ratio", "mean_low"),
    *("mean_high", "z_goe", "z_poisson", "ratio_p_value", "mean_ratio_p_value", "spacing_p_value"),
)
OF_DENSITY = ("trace_p_value", "law_p_value")
OF_RATIOS = (
    *("mean_bounded_ratio", "low", "high", "z_goe", "z_poisson"),
    *("ratio_p_value", "mean_ratio_p_value", "spacing_p_value"),
)


def draw_densities(statistics: Mapping[str, Any], files: Files) -> None:
    """Histograms of all eigenvalues and the laws; a row per k''(0), a column per covariance."""
    columns, k2s = list(statistics["columns"]), statistics["k2"]
    figure, axes = new_figure(len(k2s), len(columns), panel=(1.75, 1.35))
    rows: list[list[Any]] = []
    for column, (place, k2) in product(columns, enumerate(k2s)):
        ax, case = axes[place, columns.index(column)], f"{column}/{place}"
        edges, counts = (statistics[f"{case}/{name}"] for name in ("edges", "counts"))
        samples, size = statistics[f"{case}/eigenvalues"].shape
        zeros = int(statistics[f"{case}/zeros"])
        total, widths = samples * (size + zeros), np.diff(edges)
        expected = statistics[f"{case}/expected"] * size / (size + zeros) / widths
        density = counts / total / widths
        drawn = density.copy()
        if zeros:
            origin = int(np.searchsorted(edges, 0.0)) - 1
            drawn[origin] += zeros / (size + zeros) / widths[origin]
        ax.stairs(drawn, edges, fill=True, color=BLUE, alpha=0.45)
        ax.stairs(expected, edges, color="k", lw=0.8, baseline=None)
        outliers = column.startswith("outliers/")
        if zeros or outliers:
            ax.set_yscale("log")
            ax.set_ylim(0.3 / (total * widths.max()), 3 * drawn.max())
        if outliers:
            _arcsinh_axis(ax, float(size * k2) ** 0.5, edges)
        else:
            ax.set_ylim(top=(3 if zeros else 1.35) * max(drawn.max(), expected.max()))
        variance = statistics.get(f"{case}/trace_variance", np.nan)
        relative = variance / statistics.get(f"{case}/trace_expected", np.nan)
        p_values = [statistics.get(f"{case}/{name}", np.nan) for name in OF_DENSITY]
        if np.isfinite(relative):
            _note(ax, f"trace {relative:.2g}\np {_short(p_values[0])}")
        _titles(ax, column, place, k2)
        rows += [
            [column, _k1(column), k2, *values, zeros, relative, *p_values]
            for values in zip(edges, edges[1:], counts.tolist(), density, expected, strict=False)
        ]
    figure.supxlabel(r"eigenvalue $\lambda$", fontsize=8)
    figure.supylabel("density", fontsize=8)
    save_figure(figure, files, DENSITY_COLUMNS, rows)


def draw_ratios(statistics: Mapping[str, Any], files: Files) -> None:
    """Spacing ratios of every bulk beside the GOE surmise; below, what the cut and round-off do."""
    columns, k2s = list(statistics["columns"]), statistics["k2"]
    arms = [arm for arm in statistics["arms"] if int(statistics[f"{arm}/ratios"])]
    wide = max(len(columns), len(arms))
    figure, axes = new_figure(len(k2s) + 1, wide, panel=(1.75, 1.35), sharex=True, sharey=True)
    rows: list[list[Any]] = []
    for column, (place, k2) in product(columns, enumerate(k2s)):
        ax = axes[place, columns.index(column)]
        _draw_ratios(ax, statistics, f"{column}/{place}", BLUE)
        _titles(ax, column, place, k2)
        rows += _ratio_rows(statistics, f"{column}/{place}", column, _k1(column), k2)
    for ax, arm in zip(axes[-1], arms, strict=False):
        _draw_ratios(ax, statistics, arm, VERMILION if arm == "control" else ORANGE)
        placement, _, part = arm.partition("/")
        title = {"cut": "cut at 1e-20", "round_off": "round-off", "": "independent"}[part]
        ax.set_title(f"{placement}: {title}")
        rows += _ratio_rows(statistics, arm, arm, "", "")
    for ax in (*(ax for row in axes[:-1] for ax in row[len(columns) :]), *axes[-1, len(arms) :]):
        ax.axis("off")
    figure.supxlabel("ratio $r$ of consecutive spacings", fontsize=8)
    figure.supylabel("density", fontsize=8)
    save_figure(figure, files, RATIO_COLUMNS, rows)


def _draw_ratios(ax: Any, statistics: Mapping[str, Any], case: str, color: str) -> None:
    edges, density, _ = _ratio_histogram(statistics, case)
    ax.stairs(density, edges, fill=True, color=color, alpha=0.45)
    r = np.linspace(0, edges[-1], 301)
    ax.plot(r, ratio_surmise.density(r), color="k", lw=0.8)
    ax.plot(r, poisson_ratio.density(r), ":", color="0.5", lw=0.8)
    mean, low, high = (
        statistics[f"{case}/{name}"] for name in ("mean_bounded_ratio", "low", "high")
    )
    p_value = statistics[f"{case}/ratio_p_value"]
    _note(ax, f"{mean:.4f} $\\pm$ {(high - low) / 2:.4f}\np {_short(p_value)}")


def _ratio_histogram(
    statistics: Mapping[str, Any], case: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What lies beyond the last edge counts in the total."""
    edges, counts = statistics["ratio_edges"], statistics[f"{case}/ratio_counts"]
    return edges, counts / (int(statistics[f"{case}/ratios"]) * np.diff(edges)), counts


def _ratio_rows(
    statistics: Mapping[str, Any], case: str, panel: str, k1: str, k2: float | str
) -> Iterator[list[Any]]:
    edges, density, counts = _ratio_histogram(statistics, case)
    facts = [statistics.get(f"{case}/{name}", np.nan) for name in OF_RATIOS]
    for i, count in enumerate(counts.tolist()):
        yield [panel, k1, k2, edges[i], edges[i + 1], count, density[i], *facts]


def _k1(column: str) -> str:
    """k'(0) of a column; empty where it has none, as in the corrected (17)."""
    return column.removeprefix("printed/") if column.startswith("printed/") else ""


def _titles(ax: Any, column: str, place: int, k2: float) -> None:
    kind, _, value = column.partition("/")
    if place == 0:
        ax.set_title(
            {
                "printed": f"(17) printed, $k'(0)={value}$",
                "corrected": "(17) corrected",
                "degenerate": "corrected,\ndegenerate",
                "outliers": f"corrected, outliers\n${value}\\,(1+z^2)$",
            }[kind]
        )
    if ax.get_subplotspec().is_first_col():
        ax.set_ylabel(f"$k''(0)={k2:g}$")


def _arcsinh_axis(ax: Any, unit: float, edges: np.ndarray) -> None:
    """Linear up to about `unit`, logarithmic beyond."""
    ax.set_xscale("asinh", linear_width=unit)
    inner, outer = (float(f"{x:.0e}") for x in (2 * unit, edges[-1] / 2))
    ticks = [-inner, 0.0, inner, *([outer] if outer > 3 * inner else [])]
    ax.set_xticks(ticks, [f"{x:g}" for x in ticks])
    ax.minorticks_off()


def _note(ax: Any, text: str) -> None:
    ax.annotate(text, (0.98, 0.97), xycoords="axes fraction", ha="right", va="top", fontsize=6)


def _short(p_value: float) -> str:
    return "< 1e-6" if p_value < 1e-6 else f"= {p_value:.2g}"
