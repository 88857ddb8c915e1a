"""Figures of `universality` section 3.3: sums of ensembles (4), sums with regular graphs (5)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hessian_rmt.figures.style import BLUE, ORANGE, VERMILION, new_figure, save_figure

Files = dict[str, str | Path]
COLUMNS = 4
PAIR_COLUMNS = (
    "pair",
    "distance",
    "p_value",
    "outliers_per_matrix",
    "outlier_mean",
    "low",
    "high",
    "empirical_density",
    "free_convolution_density",
)


def draw_pairs(statistics: Mapping[str, Any], files: Files) -> None:
    """Bulk histograms of all pairs, the control last, beside the free convolution's density."""
    pairs = sorted({name.split("/")[0] for name in statistics}, key=lambda p: ("diagonal" in p, p))
    figure, axes = new_figure(-(-len(pairs) // COLUMNS), COLUMNS, panel=(1.9, 1.5))
    rows: list[list[Any]] = []
    for ax in axes.flat[len(pairs) :]:
        ax.axis("off")
    for ax, pair in zip(axes.flat, pairs, strict=False):
        get = {name: statistics[f"{pair}/{name}"] for name in ("eigenvalues", "grid", "density")}
        edges = np.linspace(get["grid"][0] - 0.1, get["grid"][-1] + 0.1, 61)
        counts, _ = np.histogram(get["eigenvalues"], edges)
        empirical = counts / (get["eigenvalues"].size * np.diff(edges))
        control = "diagonal" in pair
        ax.stairs(empirical, edges, fill=True, color=ORANGE if control else BLUE, alpha=0.45)
        ax.plot(get["grid"], get["density"], color="k", lw=0.9)
        ax.set_title(pair.replace("+", " + "))
        facts = [
            statistics[f"{pair}/{n}"] for n in ("distance", "p_value", "outliers", "outlier_mean")
        ]
        text = "control\n" if control else ""
        text += f"KS {facts[0]:.4f}\np = {facts[1]:.1g}"
        if facts[2] > 0 and not control:  # the control's bulk is wider than the law
            text += f"\noutlier {facts[3]:.4g}"
        ax.annotate(text, (0.98, 0.97), xycoords="axes fraction", ha="right", va="top", fontsize=6)
        ax.set_ylim(0, 1.45 * max(empirical.max(), get["density"].max()))
        middle = np.interp((edges[1:] + edges[:-1]) / 2, get["grid"], get["density"], 0, 0)
        ends = zip(edges, edges[1:], empirical, middle, strict=False)
        rows += [[pair, *facts, *values] for values in ends]
    figure.supxlabel("eigenvalue", fontsize=8)
    figure.supylabel("density", fontsize=8)
    save_figure(figure, files, PAIR_COLUMNS, rows)


def draw_graphs(statistics: Mapping[str, Any], files: Files) -> None:
    """q-q plots of regular graphs plus universal against plus Gaussian, and the computed law."""
    degrees = sorted({int(name.split("/")[0]) for name in statistics})
    figure, axes = new_figure(len(degrees), 3, panel=(2.3, 2.1))
    rows: list[list[Any]] = []
    for degree, (wigner, wishart, density) in zip(degrees, axes, strict=True):
        for ax, gaussian, universal in ((wigner, "GOE", "UWig"), (wishart, "Wish", "UWish")):
            x, y = (
                np.sort(statistics[f"{degree}/{name}/eigenvalues"].ravel())
                for name in (gaussian, universal)
            )
            samples = len(statistics[f"{degree}/{gaussian}/eigenvalues"])
            bulk = slice(samples, -2 * samples)  # without the trivial eigenvalue and the mean's
            ax.plot(x[bulk], y[bulk], ".", ms=1, color=BLUE, rasterized=True)
            ends = (x[bulk][0], x[bulk][-1])
            ax.plot(ends, ends, color="k", lw=0.7)
            ax.set_xlabel(f"Reg + {gaussian}")
            ax.set_ylabel(f"Reg + {universal}")
            ax.set_title(f"d = {degree}; outliers {x[-1]:.3g}, {y[-1]:.4g}")
            kept = np.linspace(samples, len(x) - 2 * samples - 1, 400).astype(int)
            rows += [[degree, f"{gaussian} / {universal}", x[i], y[i], ""] for i in kept]
        values = statistics[f"{degree}/GOE/eigenvalues"]
        grid, law = statistics[f"{degree}/grid"], statistics[f"{degree}/density"]
        edges = np.linspace(grid[0] - 0.2, grid[-1] + 0.2, 81)
        counts, _ = np.histogram(values, edges)
        density.stairs(
            counts / (values.size * np.diff(edges)), edges, fill=True, color=BLUE, alpha=0.45
        )
        density.plot(grid, law, color="k", lw=0.9, label="free convolution")
        density.axvline(values[:, -1].mean(), color=VERMILION, lw=0.8, label="trivial eigenvalue")
        density.set_ylim(0, 1.5 * law.max())
        density.legend(loc="upper left")
        density.set_xlabel("Reg + GOE")
        density.set_ylabel("density")
        rows += [[degree, "density", x, "", y] for x, y in zip(grid, law, strict=True)]
    columns = ("degree", "what", "gaussian_or_eigenvalue", "universal", "density")
    save_figure(figure, files, columns, rows)
