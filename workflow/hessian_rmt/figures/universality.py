"""Figures of `universality`: outliers against batch size (1, 2, atlas), parameters (3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from hessian_rmt.figures.style import BLUE, VERMILION, new_figure, save_figure, wrapped
from hessian_rmt.rmt.outlier_model import outlier_model

OUTLIER_COLUMNS = (
    "run",
    "data",
    "epoch",
    "outlier",
    "batch_size",
    "seed",
    "eigenvalue",
    "residual",
    "fitted",
)
PARAMETER_COLUMNS = ("run", "data", "fit", "epoch", "parameter", "value", "low", "high")

# Rows of figure 3: name in the statistics, axis label
PARAMETERS = (
    ("alpha", r"$\alpha = m_1^{(\mu)}$"),
    ("beta", r"$\beta = k_2^{(\mu)}$"),
    ("gamma", r"$\gamma = \epsilon\, m_1^{(\eta)}$"),
    ("theta", r"spikes $\theta^{(i)}$"),
    ("exponent", r"exponent $\upsilon$"),
)


@dataclass(frozen=True)
class OutlierRow:
    """A row of panels: a run at one epoch.

    table: the run's merged outliers; statistics: its fits (`rmt.outlier_statistics`); label: the
    run in words.
    """

    run: str
    label: str
    epoch: int
    table: Mapping[str, Any]
    statistics: Mapping[str, Any]


def draw_outliers(
    rows: Sequence[OutlierRow], outliers: Sequence[int], files: dict[str, str | Path]
) -> None:
    """Outliers (1 is the largest) against batch size: each seed's batch, and the fitted (2.33)."""
    figure, axes = new_figure(len(rows), len(outliers), panel=(2.2, 1.8), sharex="row")
    for row, row_axes in zip(rows, axes, strict=True):
        e = _epoch_index(row)
        batch_sizes = row.table["batch_size"]
        fine = np.geomspace(batch_sizes.min(), batch_sizes.max(), 200)
        curve = _fitted(row, fine)
        for outlier, ax in zip(outliers, row_axes, strict=True):
            values = row.table["values"][e, :, :, outlier - 1]
            x = np.repeat(batch_sizes[:, None], values.shape[1], axis=1)
            ax.plot(x.ravel(), values.ravel(), "x", color=VERMILION, ms=3, mew=0.7, label="a batch")
            ax.plot(fine, curve[:, outlier - 1], color=BLUE, label="fit (2.33)")
            ax.set_xscale("log", base=2)
        label = wrapped(row.label, 26)
        row_axes[0].set_ylabel(f"{label}\nepoch {row.epoch}\n" r"eigenvalue $\lambda_b^{(i)}$")
        row_axes[-1].annotate(
            f"$R^2$ = {row.statistics['full/r_squared'][e]:.3f}",
            (0.97, 0.95),
            xycoords="axes fraction",
            ha="right",
            va="top",
        )
    for outlier, ax in zip(outliers, axes[0], strict=True):
        ax.set_title(f"outlier {outlier}")
    axes[0, 0].legend(loc="upper right")
    for ax in axes[-1]:
        ax.set_xlabel("batch size $b$")
    save_figure(figure, files, OUTLIER_COLUMNS, _outlier_points(rows, outliers))


def draw_parameters(runs: Sequence[OutlierRow], files: dict[str, str | Path]) -> None:
    """The parameters of (2.33) by epoch, a column per run, with 95 % bootstrap intervals."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = new_figure(len(PARAMETERS), len(runs), panel=(3.0, 1.3), sharex="col")
    for run, column in zip(runs, axes.T, strict=True):
        column[0].set_title(wrapped(run.label, 45))
        for (name, label), ax in zip(PARAMETERS, column, strict=True):
            values = run.statistics[f"full/{name}"]
            intervals = run.statistics.get(f"full/intervals/{name}")
            _draw_with_intervals(ax, run.statistics["epoch"], values, intervals)
            if name != "theta":
                adam = run.statistics[f"adam/{name}"]
                ax.plot(run.statistics["epoch"], adam, "x", color="0.5", ms=4, label="Adam (B.3)")
            ax.set_ylabel(label)
            if name in ("alpha", "beta"):  # their intervals grow like b^v as the exponent moves
                size = np.median(np.abs(values[values != 0])) if (values != 0).any() else 1.0
                ax.set_yscale("symlog", linthresh=10.0 ** np.ceil(np.log10(size)), linscale=0.5)
            if name in ("alpha", "gamma"):
                ax.axhline(0, color="0.6", lw=0.6, zorder=0)
            if name == "exponent":
                ax.axhline(0.5, color="0.6", lw=0.6, ls="--", zorder=0)
        column[-1].legend(loc="upper left", bbox_to_anchor=(0, 1.12))
        column[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        column[-1].set_xlabel("epoch")
    save_figure(figure, files, PARAMETER_COLUMNS, _parameter_points(runs))


def _draw_with_intervals(ax: Any, epochs: Any, values: np.ndarray, intervals: Any) -> None:
    curves = values.reshape(len(epochs), -1)
    bands = None if intervals is None else intervals.reshape(len(epochs), -1, 2)
    for i in range(curves.shape[1]):
        color = f"C{i}"
        ax.plot(epochs, curves[:, i], "o-", ms=2.5, color=color)
        if bands is not None:
            ax.vlines(epochs, bands[:, i, 0], bands[:, i, 1], color=color, lw=1, alpha=0.6)


def _epoch_index(row: OutlierRow) -> int:
    return int(np.flatnonzero(row.statistics["epoch"] == row.epoch)[0])


def _fitted(row: OutlierRow, batch_sizes: np.ndarray) -> np.ndarray:
    e, statistics = _epoch_index(row), row.statistics
    theta, alpha, beta, beta_gamma, exponent = (
        statistics[f"full/{name}"][e]
        for name in ("theta", "alpha", "beta", "beta_gamma", "exponent")
    )
    # gamma is undefined where beta = 0, beta * gamma is not
    second_order = outlier_model(batch_sizes, theta, alpha, beta, 0.0, exponent)
    return second_order + beta_gamma * batch_sizes[:, None] ** (-2 * exponent) / theta**2


def _outlier_points(rows: Sequence[OutlierRow], outliers: Sequence[int]) -> Iterator[list[Any]]:
    for row in rows:
        e, table = _epoch_index(row), row.table
        fitted = _fitted(row, table["batch_size"])
        for outlier in outliers:
            for b, batch_size in enumerate(table["batch_size"]):
                for s, seed in enumerate(table["seed"]):
                    cell = (e, b, s, outlier - 1)
                    yield [
                        row.run,
                        table["data"],
                        row.epoch,
                        outlier,
                        int(batch_size),
                        int(seed),
                        table["values"][cell],
                        table["residuals"][cell],
                        fitted[b, outlier - 1],
                    ]


def _parameter_points(runs: Sequence[OutlierRow]) -> Iterator[list[Any]]:
    for run, form, (name, _) in product(runs, ("full", "adam"), PARAMETERS):
        values = np.asarray(run.statistics[f"{form}/{name}"])
        intervals = run.statistics.get(f"{form}/intervals/{name}")
        for e, epoch in enumerate(run.statistics["epoch"]):
            for i, value in enumerate(np.atleast_1d(values[e])):
                low, high = (
                    (np.nan, np.nan)
                    if intervals is None
                    else np.asarray(intervals[e]).reshape(-1, 2)[i]
                )
                parameter = f"theta_{i + 1}" if name == "theta" else name
                data = run.table["data"]
                yield [run.run, data, form, int(epoch), parameter, value, low, high]
