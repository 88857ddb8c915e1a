"""Figures 2 to 5 of `geometry`: spectra of H0 and H1 of ReLU autoencoders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hessian_rmt.figures.style import BLUE, GREEN, ORANGE, VERMILION, new_figure, save_figure

Files = dict[str, str | Path]
SMALLEST = 35  # nonzero eigenvalues in the inset of figure 4
BINS = 60


def draw_freeness(statistics: Mapping[str, Any], files: Files) -> None:
    """Figure 2: spectra of H0 + H1 and H0 + Q H1 Q^T by energy, and their distances."""
    energies = statistics["energy"]
    figure, axes = new_figure(-(-(len(energies) + 1) // 3), 3, panel=(2.4, 1.9))
    rows: list[list[Any]] = []
    for ax in axes.flat[len(energies) + 1 :]:
        ax.axis("off")
    for i, (ax, energy) in enumerate(zip(axes.flat, energies, strict=False)):
        plain, turned = statistics["sum"][i], statistics["rotated"][i]
        edges = np.linspace(
            min(plain[0], turned.min()), np.quantile(np.append(plain, turned), 0.985), BINS + 1
        )
        densities = [
            np.histogram(values, edges)[0] / (values.size * np.diff(edges))
            for values in (plain, turned)
        ]
        ax.stairs(densities[0], edges, fill=True, color=BLUE, alpha=0.45, label="$H_0 + H_1$")
        ax.stairs(densities[1], edges, color=VERMILION, lw=0.9, label="$H_0 + QH_1Q^T$")
        ax.set_yscale("log")
        ax.set_title(
            rf"$\epsilon$ = {energy:.3g}{_capped(statistics['capped'][i])}: $W_1$ = "
            f"{statistics['distance'][i]:.2g}, "
            f"rotated {statistics['rotated_distances'][i].mean():.2g}",
            fontsize=7,
        )
        ax.set_xlabel(r"eigenvalue $\lambda$")
        rows += [
            ["spectrum", energy, low, high, *pair]
            for low, high, *pair in zip(edges, edges[1:], *densities, strict=False)
        ]
    axes.flat[0].legend(loc="upper right", fontsize=6)
    rows += _draw_distances(axes.flat[len(energies)], statistics)
    figure.supylabel("density", fontsize=8)
    columns = ("what", "energy", "low", "high", "sum_or_value", "rotated_or_deviation")
    _save(figure, files, columns, rows, statistics)


def _draw_distances(ax: Any, statistics: Mapping[str, Any]) -> list[list[Any]]:
    energy = statistics["energy"]
    rotated = statistics["rotated_distances"]
    curves = {
        "$H_0+H_1$": (statistics["distance"], BLUE, "o-"),
        "rotated": (rotated.mean(axis=1), VERMILION, "o-"),
        "commuting": (statistics["commuting_distance"], ORANGE, "s--"),
        "$H_0$ alone": (statistics["alone_distance"], GREEN, "^--"),
    }
    rows = []
    for label, (values, colour, style) in curves.items():
        ax.plot(energy, values, style, ms=3, lw=0.9, color=colour, label=label)
        deviations = rotated.std(axis=1) if label == "rotated" else [""] * len(energy)
        name = label.replace("$", "")
        rows += [
            [f"distance {name}", e, "", "", v, d]
            for e, v, d in zip(energy, values, deviations, strict=True)
        ]
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.xaxis.set_minor_formatter("")
    ax.set_xlabel(r"energy $\epsilon$")
    ax.set_ylabel("$W_1$ to the free spectrum")
    ax.legend(fontsize=5.5, loc="upper left", bbox_to_anchor=(0, 1.02))
    low, high = ax.get_ylim()
    ax.set_ylim(low, high * 30)
    ax.set_title("p = " + ", ".join(f"{p:.2g}" for p in statistics["p_value"]), fontsize=7)
    rows += [
        ["p-value", e, "", "", p, ""] for e, p in zip(energy, statistics["p_value"], strict=True)
    ]
    return rows


def _capped(capped: bool) -> str:
    return ", not lower" if capped else ""


def draw_residual_spectra(statistics: Mapping[str, Any], files: Files) -> None:
    """Figure 3: spectra of H1 with noise for residuals, and the law of (28)."""
    examples = sorted(
        (int(name.split("/")[0]) for name in statistics if name.endswith("/density")), reverse=True
    )
    figure, axes = new_figure(1, len(examples), panel=(2.8, 2.1))
    rows: list[list[Any]] = []
    for ax, m in zip(axes[0], examples, strict=True):
        values, grid = statistics[f"{m}/eigenvalues"], statistics[f"{m}/grid"]
        density = statistics[f"{m}/density"]
        ends = np.array([values.min(), values.max()])
        edges = np.linspace(ends[0], ends[1], BINS + 2)
        empirical = np.histogram(values, edges)[0] / (values.size * np.diff(edges))
        ax.stairs(empirical, edges, fill=True, color=BLUE, alpha=0.45, label="network")
        ax.plot(grid, density, color=VERMILION, lw=1, label="law behind (28)")
        ax.set_title(rf"$\phi$ = {2 * int(statistics['hidden']) / m:g}, m = {m}")
        null = statistics[f"{m}/null_distances"]
        ax.annotate(
            f"KS {statistics[f'{m}/distance']:.3f}\nnormal inputs {null.mean():.3f}"
            f"\np = {statistics[f'{m}/p_value']:.2g}",
            (0.98, 0.98),
            xycoords="axes fraction",
            ha="right",
            va="top",
            fontsize=6,
        )
        ax.set_xlabel(r"eigenvalue $\lambda$ of $H_1$")
        top = max(empirical.max(), np.max(density[np.abs(grid) > 0.02 * grid[-1]]))
        ax.set_ylim(0, 1.25 * top)
        rows += [
            [m, "histogram", *values] for values in zip(edges, edges[1:], empirical, strict=False)
        ]
        rows += [[m, "law", x, x, y] for x, y in zip(grid, density, strict=True)]
        rows += [[m, "distance, p", "", statistics[f"{m}/distance"], statistics[f"{m}/p_value"]]]
    axes[0, 0].set_ylabel("density")
    axes[0, 0].legend(loc="upper left", fontsize=6)
    _save(figure, files, ("examples", "what", "low", "high", "density"), rows, statistics)


def draw_gauss_newton(statistics: Mapping[str, Any], files: Files) -> None:
    """Figure 4: the spectrum of H0 without its exact zeros; the smallest in an inset."""
    zeros = int(statistics["zeros"])
    values = statistics["eigenvalues"][:, zeros:]
    figure, axes = new_figure(1, 1, panel=(3.6, 2.5))
    ax = axes[0, 0]
    edges = np.linspace(0, values.max(), 81)
    counts = np.histogram(values, edges)[0] / len(values)
    ax.stairs(counts, edges, fill=True, color=BLUE, alpha=0.6)
    ax.set_yscale("log")
    ax.set_ylim(0.5 / len(values), 300 * counts.max())  # room for the inset
    ax.set_xlabel(r"eigenvalue $\lambda$ of $H_0$")
    ax.set_ylabel("eigenvalues per network")
    inset = ax.inset_axes((0.45, 0.47, 0.53, 0.5))
    smallest = values[0, :SMALLEST]
    inset.plot(np.arange(1, len(smallest) + 1), smallest, ".", ms=3, color=VERMILION)
    inset.set_ylim(0, None)
    inset.set_xlabel("rank", fontsize=6)
    inset.set_ylabel(r"$\lambda$", fontsize=6)
    inset.tick_params(labelsize=6)
    inset.set_title(f"smallest {len(smallest)} beyond {zeros} zeros", fontsize=6)
    rows = [["histogram", *row] for row in zip(edges, edges[1:], counts, strict=False)]
    rows += [["smallest", i + 1, i + 1, value] for i, value in enumerate(smallest)]
    largest_zero = np.abs(statistics["eigenvalues"][:, :zeros]).max()
    rows += [["zeros, the largest of them", zeros, zeros, largest_zero]]
    rows += [["floor of round-off", "", "", statistics["floor"].max()]]
    _save(figure, files, ("what", "low", "high", "value"), rows, statistics)


def draw_gaps(statistics: Mapping[str, Any], files: Files) -> None:
    """Figure 5: the spectral gap of H0 against 1 / phi, and the edge of (8) with one variance."""
    phi, gaps = statistics["phi"], statistics["gaps"]
    mean, error = gaps.mean(axis=1), gaps.std(axis=1, ddof=1) / np.sqrt(gaps.shape[1])
    variance, (low, high) = float(statistics["variance"]), statistics["interval"]
    figure, axes = new_figure(1, 1, panel=(3.4, 2.4))
    ax = axes[0, 0]
    grid = np.linspace(1, 1.03 / phi.min(), 200)
    edge = variance * (1 - grid**-0.5) ** 2
    ax.plot(grid, edge, color=VERMILION, label="Marchenko-Pastur edge (8)")
    ax.errorbar(
        1 / phi, mean, yerr=error, fmt="o", ms=3, color="k", label="network, mean and error"
    )
    ax.set_xlabel(r"data points per parameter $1/\phi$")
    ax.set_ylabel(r"spectral gap of $H_0$")
    ax.annotate(
        rf"$\sigma$ = {variance:.4f} [{low:.4f}, {high:.4f}]"
        f"\n$\\chi^2$/dof = {float(statistics['chi_squared']):.1f}",
        (0.97, 0.05),
        xycoords="axes fraction",
        ha="right",
        fontsize=7,
    )
    ax.legend(loc="upper left")
    rows = [
        [p, m, e, variance * (1 - p**0.5) ** 2, z, variance, low, high]
        for p, m, e, z in zip(phi, mean, error, statistics["zeros"].mean(axis=1), strict=True)
    ]
    columns = ("phi", "gap", "error", "edge", "zeros", "variance", "variance_low", "variance_high")
    _save(figure, files, columns, rows, statistics)


def _save(
    figure: Any,
    files: Files,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    statistics: Mapping[str, Any],
) -> None:
    """Every row of the csv names the data."""
    named = ([*row, statistics["data"]] for row in rows)
    save_figure(figure, files, (*columns, "data"), named)
