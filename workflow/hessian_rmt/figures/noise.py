"""Figures of `universality` about the noise of batch Hessians: scaling (X1), eigenvectors (X2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import chdtrc

from hessian_rmt.figures.style import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    new_figure,
    save_figure,
)

Files = dict[str, str | Path]
SCALING_COLUMNS = (
    "panel",
    "data",
    "quantity",
    "batch_size",
    "mean",
    "standard_error",
    "slope",
    "slope_low",
    "slope_high",
    "slope_of_model",
    "slope_of_averaging",
)
# Quantity, its axis label, and its slope under s(b) X with s = b^(-1/2) and under averaging
CUMULANTS = (
    ("second", "$c_2$", BLUE, -1.0, -1.0),
    ("third", "$c_3$", VERMILION, -1.5, -2.0),
    ("fourth", "$c_4$", GREEN, -2.0, -3.0),
)
SHAPES = (
    ("skewness", r"$k_3/k_2^{3/2}$", VERMILION, 0.0, -0.5),
    ("excess", r"$k_4/k_2^2$", GREEN, 0.0, 0.0),
)
EIGENVECTOR_COLUMNS = (
    "panel",
    "data",
    "what",
    "x",
    "value",
    "p_value",
    "low_null",
    "high_null",
)
KIND_COLORS = {
    "coordinate": BLUE,
    "gradient": ORANGE,
    "outlier": VERMILION,
    "random": "0.55",
    "GOE": GREEN,
    "blocks": PURPLE,
    "blocks, random q": SKY,
}


@dataclass(frozen=True)
class Panel:
    """One run and epoch: its name, statistics (`rmt.noise_statistics`), and for X2 the noise."""

    label: str
    statistics: Mapping[str, Any]
    table: Mapping[str, Any] = field(default_factory=dict)


def draw_scaling(panels: Sequence[Panel], files: Files) -> None:
    """One row per panel: norm, cumulants, shape, and measured against fitted outliers."""
    figure, axes = new_figure(len(panels), 4, panel=(2.2, 2.2))
    rows: list[list[Any]] = []
    for panel, (norm, cumulants, shape, theta) in zip(panels, axes, strict=True):
        at = {k.removeprefix("scaling/"): v for k, v in panel.statistics.items()}
        quantities = {
            norm: (("norm", r"$\|N\|$", BLUE, -0.5, float("nan")),),
            cumulants: CUMULANTS,
            shape: SHAPES,
        }
        for ax, entries in quantities.items():
            for name, symbol, color, model, averaging in entries:
                _points(ax, at, name, symbol, color, model, averaging)
                rows += [
                    [panel.label, at["data"], name, *values, *at[f"{name}/slope"], model, averaging]
                    for values in zip(
                        at["batch_size"], at[f"{name}/mean"], at[f"{name}/error"], strict=True
                    )
                ]
            ax.set_xscale("log", base=2)
            ax.set_yscale("log")
            low, high = ax.get_ylim()
            ax.set_ylim(low, high * (high / low) ** 0.35)
            ax.set_xlabel("batch size $b$")
            ax.legend(loc="upper right", fontsize=5.5, handlelength=1.5)
        norm.set_ylabel(r"operator norm of $N = H_{batch} - H$")
        cumulants.set_ylabel("cumulant of $N$'s entries")
        cumulants.annotate(
            "dotted: $s(b)X$\ndashed: averaging", (0.03, 0.03), xycoords="axes fraction", fontsize=6
        )
        shape.set_ylabel("shape of $N$'s spectrum")
        norm.set_title(panel.label.replace(", ", ",\n"), loc="left", fontsize=7)
        rows += [
            [panel.label, at["data"], name, b, mean, error, *[""] * 5]
            for name in ("first", "square", "share")
            for b, mean, error in zip(
                at["batch_size"], at[f"{name}/mean"], at[f"{name}/error"], strict=True
            )
        ]
        rows += _outliers(theta, panel)
    save_figure(figure, files, SCALING_COLUMNS, rows)


def _points(
    ax: Any,
    at: Mapping[str, Any],
    name: str,
    symbol: str,
    color: str,
    model: float,
    averaging: float,
) -> None:
    """Means with errors, and the two predicted powers through the smallest batches' mean.

    Hollow: negative means.
    """
    b, mean, error = at["batch_size"], at[f"{name}/mean"], at[f"{name}/error"]
    slope, low, high = at[f"{name}/slope"]
    label = f"{symbol}: {slope:.2f} [{low:.2f}, {high:.2f}]"
    for sign, options in ((1, {"label": label}), (-1, {"mfc": "none"})):
        part = sign * mean > 0
        ax.errorbar(
            b[part], sign * mean[part], error[part], fmt="o", ms=3, lw=0.8, color=color, **options
        )
    for predicted, style in ((averaging, "--"), (model, ":")):
        ax.plot(b, abs(mean[0]) * (b / b[0]) ** predicted, style, color=color, lw=0.9)


def _outliers(ax: Any, panel: Panel) -> list[list[Any]]:
    """H_true's outliers against the fitted theta, on the diagonal if the model holds."""
    at = {k.removeprefix("fitted/"): v for k, v in panel.statistics.items()}
    measured, fitted, interval = (at[f"theta/{k}"] for k in ("measured", "fitted", "interval"))
    reach = np.abs(interval.T - fitted)
    ax.errorbar(measured, fitted, reach, fmt="o", ms=3, color=BLUE)
    ends = np.array([0, 1.25 * max(measured.max(), interval.max())])
    ax.plot(ends, ends, color="k", lw=0.7)
    ax.set_xlim(ends)
    ax.set_ylim(ends)
    ax.set_xlabel(r"outlier of $H$, measured")
    ax.set_ylabel(r"$\theta$, fitted")
    low, high = at["alpha/interval"]
    v, (v_low, v_high) = at["exponent/fitted"], at["exponent/interval"]
    ax.set_title(
        rf"$\alpha$ = {at['alpha/fitted']:.2g} [{low:.2g}, {high:.2g}], in truth 0"
        f"\n$v$ = {v:.2f} [{v_low:.2f}, {v_high:.2f}]",
        fontsize=6.5,
    )
    blank = [""] * 5
    facts = [("alpha (measured: 0)", at["alpha/fitted"], low, high)]
    facts += [("exponent", v, v_low, v_high)]
    rows = [
        [panel.label, at["data"], f"theta {i + 1}, measured", "", m, *blank, ""]
        for i, m in enumerate(measured)
    ]
    rows += [
        [panel.label, at["data"], f"theta {i + 1}, fitted", "", f, "", "", *ends, "", ""]
        for i, (f, ends) in enumerate(zip(fitted, interval, strict=True))
    ]
    return rows + [
        [panel.label, at["data"], f"{name}, fitted", "", value, "", "", *ends, "", ""]
        for name, value, *ends in facts
    ]


def draw_local_law(panels: Sequence[Panel], files: Files) -> None:
    """One row per panel: tails of the overlaps, distances in both forms, Green's function."""
    figure, axes = new_figure(len(panels), 4, panel=(2.2, 2.3))
    rows: list[list[Any]] = []
    for panel, (tails, isotropic, profile, green) in zip(panels, axes, strict=True):
        rows += _tails(tails, panel)
        tails.set_title(panel.label.replace(", ", ",\n"), loc="left", fontsize=7)
        rows += _distances(isotropic, panel, "isotropic")
        rows += _distances(profile, panel, "profile")
        isotropic.set_ylabel(r"distance from $\chi^2_1$")
        profile.set_ylabel("distance, over a local mean")
        rows += _green(green, panel)
    save_figure(figure, files, EIGENVECTOR_COLUMNS, rows)


def _tails(ax: Any, panel: Panel) -> list[list[Any]]:
    rows: list[list[Any]] = []
    overlaps, kinds = panel.table["overlaps"], panel.table["direction/kind"]
    x = np.geomspace(1e-3, 1e3, 61)
    ax.plot(x, chdtrc(1, x), color="k", lw=1.0, label=r"$\chi^2_1$")
    for kind in dict.fromkeys(kinds.tolist()):
        values = np.sort(overlaps[kinds == kind].ravel())
        above = 1 - np.searchsorted(values, x, side="right") / len(values)
        ax.plot(x, above, color=KIND_COLORS[kind], lw=1.0, label=_named(kind))
        rows += [
            [panel.label, panel.statistics["data"], f"tail, {kind}", a, b, "", "", ""]
            for a, b in zip(x, above, strict=True)
        ]
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(1e-4, 1.5)
    ax.set_xlabel(r"$x = R\,(q\cdot u)^2$")
    ax.set_ylabel("share of overlaps above $x$")
    ax.legend(loc="lower left", fontsize=5.5)
    return rows


def _distances(ax: Any, panel: Panel, null: str) -> list[list[Any]]:
    """Distances by kind of direction beside the null's 95 %, noise first, controls after it."""
    rows: list[list[Any]] = []
    names: list[str] = []
    data = panel.statistics["data"]
    for group in ("directions", "controls"):
        at = {k.removeprefix(f"{group}/"): v for k, v in panel.statistics.items()}
        low, high = np.percentile(at[f"{null}/null"], [2.5, 97.5])
        distance = at[f"{null}/distance"]
        kinds = _kinds(panel, group, len(distance))
        for kind, mean, p in zip(
            at["kind"], at[f"{null}/kind_distance"], at[f"{null}/kind_p_value"], strict=True
        ):
            values, place = distance[kinds == kind], len(names)
            ax.plot(
                place + np.linspace(-0.25, 0.25, len(values)) * (len(values) > 1),
                values,
                ".",
                ms=3,
                color=KIND_COLORS[kind],
            )
            ax.fill_between([place - 0.4, place + 0.4], low, high, color="0.85", lw=0)
            names.append(_named(kind))
            what = f"{null} distance, {kind}"
            rows += [
                [panel.label, data, what, i, value, p_one, low, high]
                for i, (value, p_one) in enumerate(
                    zip(values, at[f"{null}/p_value"][kinds == kind], strict=True)
                )
            ]
            rows.append([panel.label, data, f"{what}, mean", "", mean, p, "", ""])
    ax.set_yscale("log")
    ax.set_ylim(0.006, 1.2)
    ax.set_xticks(range(len(names)), names, rotation=50, ha="right", fontsize=6)
    return rows


def _kinds(panel: Panel, group: str, count: int) -> np.ndarray:
    """The kind of each direction; the controls' follow each other in equal numbers."""
    if group == "directions":
        return panel.table["direction/kind"]
    names = panel.statistics["controls/kind"]
    return np.repeat(names, count // len(names))


def _named(kind: str) -> str:
    return {"random": "random q (control)", "outlier": "outliers of $H$"}.get(kind, kind)


def _green(ax: Any, panel: Panel) -> list[list[Any]]:
    at = {k.removeprefix("green/"): v for k, v in panel.statistics.items()}
    low, high = np.percentile(at["null_error"], [2.5, 97.5], axis=0)
    ax.fill_between(at["width"], low, high, color="0.85", lw=0, label="GOE, 95 %")
    curves = (("", "noise", BLUE), ("control/", "independent levels", PURPLE))
    for prefix, name, color in curves:
        label = f"{name}: {at[f'{prefix}slope']:.2f}"
        ax.plot(at["width"], at[f"{prefix}error"], ".-", ms=4, color=color, label=label)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    bottom, top = ax.get_ylim()
    ax.set_ylim(bottom, top * (top / bottom) ** 0.6)
    ax.set_xlabel(r"$\eta$ in local mean spacings")
    ax.set_ylabel(r"$R\,\eta\,|g - g_\mu|$")
    ax.legend(loc="upper left", fontsize=6)
    data = panel.statistics["data"]
    return [
        [panel.label, data, f"Green's function, {name}", *values, at[f"{prefix}p_value"], *ends]
        for prefix, name, _ in curves
        for values, ends in zip(
            zip(at["width"], at[f"{prefix}error"], strict=True),
            zip(low, high, strict=True),
            strict=True,
        )
    ]
