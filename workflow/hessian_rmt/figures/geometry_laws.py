"""Figures of `geometry` sections 4 and 6.3: densities (1); index and critical energy (X1)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hessian_rmt.figures.style import PALETTE, new_figure, save_figure

Files = dict[str, str | Path]
BINS = 40
MODEL_NAMES = ("Wishart + Wigner", "refined (ReLU)")
LINES = ("-", (0, (4, 1.5)))
DENSITY_COLUMNS = (
    "ratio",
    "energy",
    "distance",
    "p_value",
    "p_value_wrong_energy",
    "p_value_commuting",
    "what",
    "eigenvalue",
    "density",
)
INDEX_COLUMNS = ("model", "ratio", "what", "x", "y", "low", "high", "p_value")


def draw_densities(statistics: Mapping[str, Any], files: Files) -> None:
    """One panel a ratio, one colour an energy: the cubic's density, points of sampled matrices."""
    ratios, energies = statistics["ratio"], statistics["energy"]
    figure, axes = new_figure(1, len(ratios), panel=(2.4, 2.2))
    rows: list[list[Any]] = []
    for i, (ratio, ax) in enumerate(zip(ratios, axes[0], strict=True)):
        for j, (energy, colour) in enumerate(zip(energies, PALETTE * len(energies), strict=False)):
            grid, density = statistics["grid"][i, j], statistics["density"][i, j]
            values = statistics["eigenvalues"][i, j]
            counts, edges = np.histogram(values, BINS, (grid[0], grid[-1]))
            empirical, middle = (
                counts / (values.size * np.diff(edges)),
                (edges[1:] + edges[:-1]) / 2,
            )
            ax.plot(grid, density, color=colour, lw=0.9, label=rf"$\epsilon$ = {energy:g}")
            ax.plot(middle, empirical, ".", color=colour, ms=2.5)
            facts = [ratio, energy] + [statistics[name][i, j] for name in DENSITY_COLUMNS[2:6]]
            for what, x, y in (("root of (18)", grid, density), ("sampled", middle, empirical)):
                rows += [[*facts, what, *pair] for pair in zip(x, y, strict=True)]
        heights = statistics["density"][i].max(1)
        ax.set_ylim(0, min(1.15 * heights.max(), 2.2 * np.sort(heights)[-2:][0]))
        ax.axvline(0, color="0.7", lw=0.6, zorder=0)
        ax.set_title(
            rf"$\phi$ = {ratio:g};  KS $\leq$ {statistics['distance'][i].max():.4f},"
            f"  p = {statistics['p_value_ratio'][i]:.2g}"
        )
        ax.set_xlabel(r"eigenvalue $\lambda$")
    axes[0, 0].set_ylabel(r"spectral density $\rho(\lambda)$")
    axes[0, 0].legend(loc="upper right")
    save_figure(figure, files, DENSITY_COLUMNS, rows)


def draw_indices(statistics: Mapping[str, Any], files: Files) -> None:
    """Index against energy and against the distance to epsilon_c, by model; critical energies;
    exponents."""
    figure, axes = new_figure(2, 3, panel=(2.5, 2.2))
    rows: list[list[Any]] = []
    for m, name in enumerate(MODEL_NAMES):
        rows += _draw_index(axes[0, m], statistics, m)
        rows += _draw_near(axes[1, m], statistics, m)
        axes[0, m].set_title(f"{name}, ({(18, 30)[m]})")
    axes[0, 0].legend(loc="upper left")
    rows += _draw_critical(axes[0, 2], statistics)
    rows += _draw_exponents(axes[1, 2], statistics)
    save_figure(figure, files, INDEX_COLUMNS, rows)


def _draw_index(ax: Any, statistics: Mapping[str, Any], m: int) -> list[list[Any]]:
    """alpha against epsilon: exact, sampled with standard errors, ticks at epsilon_c."""
    rows: list[list[Any]] = []
    for i, ratio in enumerate(statistics["ratio"]):
        energy, index = statistics["energy"][m, i], statistics["index"][m, i]
        ax.semilogx(energy, index, color=PALETTE[i], label=rf"$\phi$ = {ratio:g}")
        at, mean, error = (
            statistics[f"sampled_{what}"][m, i] for what in ("energy", "index", "error")
        )
        ax.errorbar(at, mean, error, fmt="o", ms=2.5, color=PALETTE[i])
        ax.plot(statistics["critical_energy"][m, i], 0, "|", ms=9, color=PALETTE[i], clip_on=False)
        head, p = [MODEL_NAMES[m], ratio], statistics["p_value"][m, i]
        rows += [[*head, "index", *pair, "", "", ""] for pair in zip(energy, index, strict=True)]
        rows += [
            [*head, "sampled index", x, y, y - d, y + d, p]
            for x, y, d in zip(at, mean, error, strict=True)
        ]
    text = f"sampled: p = {statistics['p_value_model'][m]:.2g}"
    ax.annotate(text, (0.98, 0.05), xycoords="axes fraction", ha="right", fontsize=7)
    ax.set_xlabel(r"energy $\epsilon$")
    ax.set_ylabel(r"index $\alpha$")
    ax.set_ylim(0, 0.5)
    return rows


def _draw_near(ax: Any, statistics: Mapping[str, Any], m: int) -> list[list[Any]]:
    """alpha against (epsilon - epsilon_c) / epsilon_c, and the 3/2 law with its prefactor."""
    rows: list[list[Any]] = []
    t = statistics["distance"]
    for i, ratio in enumerate(statistics["ratio"]):
        asymptotic = statistics["asymptotic"][m, i]
        ax.loglog(t, statistics["index"][m, i], color=PALETTE[i])
        shown = asymptotic < 1
        ax.loglog(t[shown], asymptotic[shown], color="k", lw=0.7, ls="--")
        head = [MODEL_NAMES[m], ratio, "3/2 law"]
        rows += [[*head, *pair, "", "", ""] for pair in zip(t, asymptotic, strict=True)]
    ax.plot([], [], color="k", lw=0.7, ls="--", label=r"$\alpha_0(\phi)\, t^{3/2}$")
    ax.legend(loc="upper left")
    ax.set_xlabel(r"distance $t = (\epsilon - \epsilon_c)\, /\, \epsilon_c$")
    ax.set_ylabel(r"index $\alpha$")
    return rows


def _draw_critical(ax: Any, statistics: Mapping[str, Any]) -> list[list[Any]]:
    """epsilon_c against phi, (21) and (32), and near phi = 1, (22) and (33)."""
    rows: list[list[Any]] = []
    phi = statistics["curve_ratio"]
    for m, (name, numbers) in enumerate(zip(MODEL_NAMES, ((21, 22), (32, 33)), strict=True)):
        exact, near = (statistics[f"critical_curve{suffix}"][m] for suffix in ("", "_near_one"))
        ax.semilogy(phi, exact, color=PALETTE[m + 3], label=f"({numbers[0]})")
        ax.semilogy(phi, near, color=PALETTE[m + 3], lw=0.8, ls=":", label=f"({numbers[1]})")
        ax.semilogy(statistics["ratio"], statistics["critical_energy"][m], "k|", ms=6)
        for what, y in zip(numbers, (exact, near), strict=True):
            rows += [[name, x, f"({what})", x, v, "", "", ""] for x, v in zip(phi, y, strict=True)]
    ax.set_title(rf"critical energy, $\sigma$ = {float(statistics['variance']):g}")
    ax.set_xlabel(r"ratio $\phi$")
    ax.set_ylabel(r"critical energy $\epsilon_c$")
    ax.legend(loc="lower left")
    return rows


def _draw_exponents(ax: Any, statistics: Mapping[str, Any]) -> list[list[Any]]:
    """Slopes of log alpha against log t, and exponents of free fits up to t."""
    rows: list[list[Any]] = []
    t = statistics["distance"]
    for m, name in enumerate(MODEL_NAMES):
        for i, ratio in enumerate(statistics["ratio"]):
            slope = np.gradient(np.log(statistics["index"][m, i]), np.log(t))
            ax.semilogx(t, slope, color=PALETTE[i], ls=LINES[m], lw=0.9)
            window = statistics["window"] * 1.12 ** (i - 1 + 3 * m - 1.5)  # side by side
            p, low, high = (
                statistics[f"exponent{suffix}"][m, i] for suffix in ("", "_low", "_high")
            )
            ax.errorbar(window, p, (p - low, high - p), fmt="os"[m], ms=2, lw=0.8, color=PALETTE[i])
            head = [name, ratio]
            rows += [
                [*head, "local exponent", *pair, "", "", ""] for pair in zip(t, slope, strict=True)
            ]
            fits = zip(statistics["window"], p, low, high, strict=True)
            rows += [[*head, "fitted exponent", *values, ""] for values in fits]
            limit = statistics["limiting_exponent"][m, i]
            ends = statistics["limiting_exponent_interval"][m, i]
            rows.append([*head, "limiting exponent", 0.0, limit, *ends, ""])
    ax.axhline(1.5, color="k", lw=0.7, ls="--")
    ax.plot([], [], color="0.4", ls=LINES[0], label="local, (18)")
    ax.plot([], [], color="0.4", ls=LINES[1], label="local, (30)")
    ax.errorbar([], [], [], fmt="o", ms=2, lw=0.8, color="0.4", label="free fit up to t")
    ax.legend(loc="lower left")
    ax.set_title("exponent (3/2 dashed)")
    ax.set_xlim(t[0], 30)
    ax.set_ylim(0.8, 1.55)
    ax.set_xlabel(r"distance $t = (\epsilon - \epsilon_c)\, /\, \epsilon_c$")
    ax.set_ylabel("exponent")
    return rows
