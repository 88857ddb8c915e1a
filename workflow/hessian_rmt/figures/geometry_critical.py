"""Figure 6 of `geometry`: energy and index of critical points, critical energy against phi."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hessian_rmt.figures.style import (
    BLUE,
    GREEN,
    ORANGE,
    PALETTE,
    PURPLE,
    VERMILION,
    new_figure,
    save_figure,
)

Files = dict[str, str | Path]
COLUMNS = ("panel", "what", "phi", "index", "energy", "low", "high", "runs")


def draw_critical_points(statistics: Mapping[str, Any], files: Files) -> None:
    """(a) index against mean energy with the 3/2 fits, (b) the same near zero; (c) critical
    energies against phi; (d) the exponent where it is left free."""
    figure, axes = new_figure(2, 2, panel=(3.0, 2.4))
    curves, small, energies, exponents = axes.flat
    rows = _draw_curves((curves, small), statistics)
    rows += _draw_energies(energies, statistics)
    rows += _draw_exponents(exponents, statistics)
    for ax, letter in zip(axes.flat, "abcd", strict=True):
        ax.set_title(f"({letter})", loc="left")
    save_figure(figure, files, COLUMNS, rows)


def _draw_curves(panels: tuple[Any, Any], statistics: Mapping[str, Any]) -> list[list[Any]]:
    rows: list[list[Any]] = []
    colours = (*PALETTE, "0.35")
    largest = statistics["largest_indices"][0]
    k = statistics["drawn_tolerance"]
    for i, (examples, phi) in enumerate(
        zip(statistics["examples"], statistics["phi"], strict=True)
    ):
        colour = colours[i % len(colours)]
        if f"bins/{examples}/index" not in statistics:
            continue
        index, energy, error, runs = (
            statistics[f"bins/{examples}/{name}"] for name in ("index", "energy", "error", "runs")
        )
        (critical, *_), (prefactor, *_), _ = statistics["fixed_fit"][i, 0, k]
        for ax in panels:
            ax.errorbar(
                energy, index, xerr=error, fmt="o", ms=2, lw=0.7, color=colour, label=f"{phi:.3g}"
            )
            ax.plot(
                statistics[f"descent/{examples}/energy"],
                statistics[f"descent/{examples}/index"],
                "x",
                ms=3,
                mew=0.7,
                color=colour,
            )
            if np.isfinite(prefactor):
                x = np.linspace(critical, critical + (largest / prefactor) ** (2 / 3), 60)
                ax.plot(x, prefactor * (x - critical) ** 1.5, color=colour, lw=0.8)
        rows += [
            ["a", "mean", phi, a, e, e - d, e + d, n]
            for a, e, d, n in zip(index, energy, error, runs, strict=True)
        ]
        for arm in ("newton", "descent"):
            pairs = (statistics[f"{arm}/{examples}/{name}"] for name in ("index", "energy"))
            rows += [
                ["a", f"{arm} run", phi, *pair, "", "", 1] for pair in zip(*pairs, strict=True)
            ]
    whole, small = panels
    for ax in panels:
        ax.set_xlabel(r"energy $\epsilon$")
        ax.set_ylabel(r"index $\alpha$")
    whole.set_ylim(0, None)
    low, high = whole.get_xlim()
    whole.set_xlim(low, high + 0.25 * (high - low))
    whole.legend(title=r"$\phi$", loc="lower right", fontsize=6)
    small.set_ylim(0, 1.1 * largest)
    return rows


def _draw_energies(ax: Any, statistics: Mapping[str, Any]) -> list[list[Any]]:
    phi, k = statistics["phi"], statistics["drawn_tolerance"]
    lines = {
        r"$(1-\phi)^2/2$, paper": ("quadratic", BLUE, "-"),
        r"$(1-\phi/2)/2$, linear": ("linear", GREEN, "-"),
        r"$(1-\phi)/2$, linear as printed": ("linear_printed", ORANGE, "--"),
    }
    for label, (law, colour, style) in lines.items():
        values = statistics[f"law/{law}"]
        ax.plot(statistics["law_phi"], values, style, color=colour, lw=0.9, label=label)
    fits = statistics["fixed_fit"][:, :, k, 0]
    fitted, largest = fits[:, 0], statistics["largest_indices"]
    _errorbars(ax, phi, fitted, "o", VERMILION, rf"tanh, fitted to $\alpha \leq {largest[0]:g}$")
    for j, other in enumerate(largest[1:], start=1):
        ax.plot(
            phi,
            fits[:, j, 0],
            "x_+"[(j - 1) % 3],
            ms=4,
            color="0.5",
            label=rf"$\alpha \leq {other:g}$",
        )
    found = {}
    for arm, marker, colour, label in (
        ("minimum", "D", "k", "tanh, minimisers"),
        ("linear", "s", PURPLE, "linear, minimisers"),
    ):
        mean, error = statistics[f"{arm}_energy"], statistics[f"{arm}_energy_error"]
        found[arm] = np.stack([mean, mean - 1.96 * error, mean + 1.96 * error], axis=1)
        _errorbars(ax, phi, found[arm], marker, colour, label)
    ax.set_xlabel(r"parameters per data point $\phi$")
    ax.set_ylabel(r"critical energy $\epsilon_c$")
    ax.set_ylim(min(0, 1.1 * np.nanmin(fits[:, 0, 1], initial=0)), 1.15)  # room for the legend
    ax.legend(loc="upper right", fontsize=6)
    rows = [
        ["c", "fitted", p, largest[0], *v, n]
        for p, v, n in zip(phi, fitted, statistics["accepted"], strict=True)
    ]
    rows += [
        ["c", arm, p, "", *v, n]
        for arm, interval in found.items()
        for p, v, n in zip(phi, interval, statistics[f"{arm}_runs"], strict=True)
    ]
    rows += [
        ["c", "fitted", p, bound, *v, ""]
        for j, bound in enumerate(largest[1:], start=1)
        for p, v in zip(phi, fits[:, j], strict=True)
    ]
    rows += [
        ["c", f"law {law}", p, "", value, "", "", ""]
        for law, *_ in lines.values()
        for p, value in zip(statistics["law_phi"], statistics[f"law/{law}"], strict=True)
    ]
    return rows


def _draw_exponents(ax: Any, statistics: Mapping[str, Any]) -> list[list[Any]]:
    phi, k = statistics["phi"], statistics["drawn_tolerance"]
    rows: list[list[Any]] = []
    for j, (largest, colour) in enumerate(
        zip(statistics["largest_indices"], PALETTE, strict=False)
    ):
        values = statistics["free_fit"][:, j, k, 2]
        _errorbars(ax, phi + 0.012 * j, values, "o", colour, rf"$\alpha \leq {largest:g}$")
        rows += [["d", "exponent", p, largest, *v, ""] for p, v in zip(phi, values, strict=True)]
    ax.axhline(1.5, color="k", lw=0.7, ls="--")
    ax.set_xlabel(r"parameters per data point $\phi$")
    ax.set_ylabel(r"exponent, left free")
    ax.set_ylim(0, 7.5)  # room for the legend
    ax.legend(loc="upper center", fontsize=6, ncols=3)
    return rows


def _errorbars(ax: Any, x: Any, values: Any, marker: str, colour: str, label: str) -> None:
    """Values with intervals, columns (value, low, high)."""
    value, low, high = np.asarray(values).T
    ends = np.stack([np.maximum(value - low, 0), np.maximum(high - value, 0)])
    ax.errorbar(x, value, yerr=ends, fmt=marker, ms=3, lw=0.8, color=colour, label=label)
