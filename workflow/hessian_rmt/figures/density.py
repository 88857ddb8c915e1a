"""Spectral densities by Lanczos quadrature: stem plots of nodes and weights, and smoothed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hessian_rmt.figures.style import BLUE, VERMILION, new_figure, save_figure, wrapped

Table = Mapping[str, Any]
Array = NDArray[np.float64]

COLUMNS = ("panel", "data", "examples", "quantity", "x", "value", "residual")
WIDTH = 0.01  # of the Gaussian kernel, in spans of the spectrum
POINTS = 600
ZOOM = 1.2  # reach around zero, in sizes of the smallest eigenvalue
FLOOR = 1e-8  # of the smoothed density's largest value


def draw_stems(
    panels: Sequence[tuple[str, Table]], edges: Sequence[tuple[float, float]], files: dict[str, Any]
) -> None:
    """Stems of each labelled density: all (left) and around zero (right); edges of bulks dashed."""
    figure, axes = new_figure(len(panels), 2, panel=(3.6, 2.5))
    for pair, (label, table), bulk in zip(axes, panels, edges, strict=True):
        for ax in pair:
            _stems(ax, table, named=ax is pair[0])
            for edge in bulk:
                ax.axvline(edge, ymax=0.86, color="0.5", ls="--", lw=0.8)
        pair[0].set_title(label.replace("; ", "\n"), loc="left")
        reach = ZOOM * max(-table["nodes"].min(), *np.abs(bulk))
        pair[1].set_xlim(-reach, reach)
        pair[1].set_title("around zero; dashed: bulk edges", loc="left")
    rows = [row for label, table in panels for row in _node_rows(label, table)]
    for (label, table), bulk in zip(panels, edges, strict=True):
        rows += [
            [label, table["data"], int(table["examples"]), f"{name} bulk edge", edge, "", ""]
            for name, edge in zip(("lower", "upper"), bulk, strict=True)
        ]
    save_figure(figure, files, COLUMNS, rows)


def draw_whole_spectra(panels: Sequence[tuple[str, Table]], files: dict[str, str | Path]) -> None:
    """Stem plot (left) and smoothed density (right), a row for each labelled density."""
    figure, axes = new_figure(len(panels), 2, panel=(3.6, 2.3))
    rows: list[list[Any]] = []
    for (stems, smooth), (label, table) in zip(axes, panels, strict=True):
        _stems(stems, table)
        stems.set_title(wrapped(label, 55), loc="left")
        width = WIDTH * np.ptp(table["nodes"])
        x, density = smoothed(table, width)
        smooth.semilogy(x, density, color=BLUE)
        smooth.set_ylim(FLOOR * density.max(), 3 * density.max())
        smooth.set_title(f"Gaussian kernel of width {width:.2g}", loc="left")
        smooth.set_xlabel(r"eigenvalue $\lambda$")
        smooth.set_ylabel("spectral density")
        rows += _node_rows(label, table)
        own = [label, table["data"], int(table["examples"])]
        rows += [[*own, "smoothed density", a, b, ""] for a, b in zip(x, density, strict=True)]
        rows.append([*own, "kernel width", "", width, ""])
    save_figure(figure, files, COLUMNS, rows)


def smoothed(table: Table, width: float) -> tuple[Array, Array]:
    """Points, and the density sum_j w_j N(x; theta_j, width^2) there."""
    nodes = table["nodes"]
    x = np.linspace(nodes.min() - 4 * width, nodes.max() + 4 * width, POINTS)
    z = (x[:, None] - nodes) / width
    kernel = np.exp(-(z**2) / 2) / (width * np.sqrt(2 * np.pi))
    return x, kernel @ table["weights"]


def _stems(ax: Any, table: Table, *, named: bool = True) -> None:
    """Stems, the extreme ones marked and, where `named`, with their values and residuals."""
    nodes, weights, residuals = (table[name] for name in ("nodes", "weights", "residuals"))
    floor = 10 ** np.floor(np.log10(weights[weights > 0].min()) - 0.3)
    ax.vlines(nodes, floor, weights, color=BLUE, lw=0.7)
    ax.plot(nodes, weights, "o", ms=2, color=BLUE)
    for end, index, side in (
        ("min", nodes.argmin(), "left"),
        ("max", nodes.argmax(), "right"),
    ):
        ax.plot(nodes[index], weights[index], "o", ms=4, color=VERMILION)
        if not named:
            continue
        text = f"{nodes[index]:.3g} $\\pm$ {residuals[index]:.0e}"
        ax.annotate(
            rf"$\lambda_\mathrm{{{end}}}$ = {text}",
            (0.02 if side == "left" else 0.98, 0.96),
            xycoords="axes fraction",
            ha=side,
            va="top",
            fontsize=6.5,
        )
    ax.set_yscale("log")
    ax.set_ylim(floor, 30)  # room for the numbers
    ax.set_xlabel(r"eigenvalue $\lambda$")
    ax.set_ylabel("weight")


def _node_rows(label: str, table: Table) -> Iterator[list[Any]]:
    own = [label, table["data"], int(table["examples"]), "weight of a node"]
    columns = (table["nodes"], table["weights"], table["residuals"])
    for node, weight, residual in zip(*columns, strict=True):
        yield [*own, node, weight, residual]
