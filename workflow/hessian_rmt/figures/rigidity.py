"""`applicability` figure X1: number variance and spectral rigidity of Hessians."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hessian_rmt.figures.applicability import ARM_COLORS, ARM_LABELS, Cell, Files
from hessian_rmt.figures.style import new_figure, save_figure
from hessian_rmt.rmt.local_laws import goe_delta3, goe_number_variance

# measure: its symbol, the GOE's closed form, the Poisson value at length one
MEASURES = {
    "number_variance": (r"number variance $\Sigma^2(L)$", goe_number_variance, 1.0),
    "delta3": (r"rigidity $\Delta_3(L)$", goe_delta3, 1 / 15),
}
COLUMNS = (
    "panel",
    "data",
    "arm",
    "measure",
    "length",
    "mean",
    "standard_error",
    "matched_goe_low",
    "matched_goe_high",
    "goe",
    "poisson",
)


def draw_rigidity(cells: Sequence[Cell], files: Files) -> None:
    """One column per cell, one row per measure.

    Points are means over the sides of all matrices, bands hold 95 % of matched GOE sets of spectra
    that were unfolded alike, lines are the GOE's and Poisson's closed forms.
    """
    figure, axes = new_figure(len(MEASURES), len(cells), panel=(3.0, 2.2))
    for column, cell in zip(axes.T, cells, strict=True):
        column[0].set_title(cell.label.replace(", epoch", ",\nepoch"), loc="left")
        for ax, (measure, (label, goe, poisson)) in zip(column, MEASURES.items(), strict=True):
            lengths = cell.statistics["lengths"]
            fine = np.geomspace(lengths[0], lengths[-1], 200)
            ax.plot(fine, goe(fine), color="k", lw=0.9, label="GOE")
            ax.plot(fine, poisson * fine, ":", color="0.5", lw=0.9, label="Poisson")
            tops = []
            for arm in _arms(cell):
                _draw_arm(ax, cell, arm, measure)
                tops.append(np.nanmax(cell.statistics[f"{arm}/{measure}"]))
            ax.set_ylim(0, 1.4 * max(*tops, float(goe(lengths[-1]))))
            ax.set_xlabel("window length $L$ (mean spacings)")
            ax.set_ylabel(label)
            ax.legend(loc="upper left")
    save_figure(figure, files, COLUMNS, _rows(cells))


def _arms(cell: Cell) -> list[str]:
    return [arm for arm in ARM_LABELS if f"{arm}/sides" in cell.statistics]


def _draw_arm(ax: Any, cell: Cell, arm: str, measure: str) -> None:
    lengths, values = cell.statistics["lengths"], cell.statistics[f"{arm}/{measure}"]
    low, high = _band(cell, arm, measure)
    p = float(cell.statistics[f"{arm}/{measure}_p_value"])
    color = ARM_COLORS[arm]
    ax.fill_between(lengths, low, high, color=color, alpha=0.25, lw=0)
    ax.errorbar(
        lengths,
        values,
        yerr=cell.statistics[f"{arm}/{measure}_error"],
        fmt="o",
        ms=2.5,
        lw=0.8,
        color=color,
        label=f"{ARM_LABELS[arm]}: p = {p:.2f}",
    )


def _band(cell: Cell, arm: str, measure: str) -> np.ndarray:
    return np.quantile(cell.statistics[f"{arm}/{measure}_goe"], [0.025, 0.975], axis=0)


def _rows(cells: Sequence[Cell]) -> Iterator[list[Any]]:
    for cell in cells:
        lengths = cell.statistics["lengths"]
        for arm in _arms(cell):
            for measure, (_, goe, poisson) in MEASURES.items():
                columns = zip(
                    lengths,
                    cell.statistics[f"{arm}/{measure}"],
                    cell.statistics[f"{arm}/{measure}_error"],
                    *_band(cell, arm, measure),
                    goe(lengths),
                    poisson * lengths,
                    strict=True,
                )
                for row in columns:
                    yield [cell.label, cell.statistics["data"], arm, measure, *row]
