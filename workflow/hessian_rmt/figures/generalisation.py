"""Figures 7, 8 and X3 of `applicability`: tail averages and training budgets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hessian_rmt.figures.style import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    VERMILION,
    new_figure,
    save_figure,
)
from hessian_rmt.generalisation.decay_fits import LAWS
from hessian_rmt.generalisation.iterates import correlations, covariance_trace
from hessian_rmt.generalisation.minima import QUANTITIES, SOURCES

Statistics = Mapping[str, Any]
Files = dict[str, str | Path]

AVERAGING_COLUMNS = ("data", "arm", "quantity", "epoch", "mean", "low", "high", "replicates")
BUDGET_COLUMNS = ("source", "data", "quantity", "kind", "budget", "epoch", "value")
THEOREM_COLUMNS = ("panel", "data", "series", "x", "value", "low", "high")
LAW_STYLES = {"exponential": (BLUE, "-"), "power": (VERMILION, "--"), "line": ("0.6", ":")}
LAW_NAMES = {"exponential": r"$a + b\,e^{ct}$", "power": r"$a + b\,t^{c}$", "line": "line"}


# Figure 7 -----------------------------------------------------------------------------------------


def draw_averaging(
    statistics: Statistics, learning_rates: Mapping[str, float], label: str, files: Files
) -> None:
    """Validation error and loss by epoch: means over replicates with their range as a band.

    statistics: `generalisation.tail_averages.averaging_statistics`; learning_rates: by arm.
    """
    figure, axes = new_figure(1, 2, panel=(3.5, 2.8))
    reference, averaged = str(statistics["reference"]), str(statistics["averaged"])
    series = list(_averaging_series(statistics, learning_rates, reference, averaged))
    for ax, quantity, factor in zip(axes[0], ("error", "loss"), (100, 1), strict=True):
        for arm, kind, color, style, name in series:
            epochs = statistics[f"arms/{arm}/epoch"]
            values = factor * statistics[f"arms/{arm}/{kind}{quantity}"]
            shown = (epochs > 0) & ~np.isnan(values[0])
            ax.plot(epochs[shown], values.mean(0)[shown], style, color=color, label=name)
            low, high = values.min(0)[shown], values.max(0)[shown]
            ax.fill_between(epochs[shown], low, high, color=color, alpha=0.15, lw=0)
        mean = factor * float(statistics[f"average_minus_reference/{quantity}/mean"])
        low, high = factor * statistics[f"average_minus_reference/{quantity}/interval"]
        unit = " points" if quantity == "error" else ""
        ax.set_title(
            f"average - {reference} = {mean:.2g}{unit} [{low:.2g}, {high:.2g}]", loc="left"
        )
        ax.set_xlabel("epoch")
        top = factor * np.median(statistics[f"arms/{averaged}/{quantity}"][:, 1:6])
        names = [f"arms/{arm}/{kind}{quantity}" for arm, kind, *_ in series]
        ends = [factor * np.nanmin(statistics[name]) for name in names]
        ax.set_ylim(0.93 * min(ends), 1.25 * top)
    axes[0, 0].set_ylabel("validation error, %")
    axes[0, 1].set_ylabel("validation loss")
    curves, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(curves, names, loc="outside lower center", ncols=3, fontsize=6)
    figure.suptitle(label, fontsize=8)
    save_figure(figure, files, AVERAGING_COLUMNS, _averaging_rows(statistics, series))


def _averaging_series(
    statistics: Statistics, rates: Mapping[str, float], reference: str, averaged: str
) -> Iterator[tuple[str, str, str, str, str]]:
    """(arm, "" or "average_", colour, line, name) of each curve."""
    rest = iter((GREEN, ORANGE, PURPLE))
    colors = {arm: next(rest) for arm in rates if arm not in (reference, averaged)}
    colors |= {reference: BLUE, averaged: VERMILION}
    for arm, rate in rates.items():
        yield arm, "", colors[arm], ":" if arm != reference else "-", f"SGD, {arm} ({rate:g})"
        if not np.all(np.isnan(statistics[f"arms/{arm}/average_error"])):
            yield arm, "average_", colors[arm], "-", f"tail average, {arm} ({rate:g})"


def _averaging_rows(statistics: Statistics, series: list[Any]) -> Iterator[list[Any]]:
    for arm, kind, *_ in series:
        for quantity in ("error", "loss"):
            values = statistics[f"arms/{arm}/{kind}{quantity}"]
            for epoch, column in zip(statistics[f"arms/{arm}/epoch"], values.T, strict=True):
                if not np.isnan(column[0]):
                    spread = [column.mean(), column.min(), column.max()]
                    name = f"{kind}{quantity}"
                    yield [statistics["data"], arm, name, int(epoch), *spread, len(column)]


# Figure 8 -----------------------------------------------------------------------------------------


def draw_budgets(statistics: Statistics, label: str, files: Files) -> None:
    """Lowest validation loss (left) and error (right), published above and measured below.

    statistics: `generalisation.minima.budget_statistics`.
    """
    figure, axes = new_figure(2, 2, panel=(3.5, 2.6))
    titles = {"published": "ResNet-50, ImageNet (published)", "measured": label}
    rows: list[list[Any]] = []
    for source, line in zip(SOURCES, axes, strict=True):
        data = titles[source]
        line[0].set_title(data, loc="left")
        for ax, quantity in zip(line, QUANTITIES, strict=True):
            factor = 100 if quantity == "error" else 1
            t, y = (
                statistics[f"{source}/minima/{name}"] for name in (f"{quantity}_epoch", quantity)
            )
            budgets = statistics[f"{source}/minima/budget"]
            ax.plot(t, factor * y, "o", ms=3.5, color="k", mfc="none", zorder=3)
            rows += [
                [source, data, quantity, "lowest", int(b), int(at), value]
                for b, at, value in zip(budgets, t, y, strict=True)
            ]
            grid = np.geomspace(t.min(), t.max(), 200)
            for law in LAWS:
                color, style = LAW_STYLES[law]
                folder = f"{source}/{quantity}/epoch/{law}"
                parameters = statistics[f"{folder}/parameters"]
                curve = _law(grid, law, parameters)
                name = LAW_NAMES[law]
                if law == "exponential":
                    low, high = statistics[f"{folder}/intervals"][2]
                    name += f", $c$ = {parameters[2]:.2g} [{low:.2g}, {high:.2g}]"
                    rival = f"{source}/{quantity}/epoch/power/exponential_p_value"
                    name += f", p = {statistics[rival]:.2g}"
                else:
                    name += rf", $\Delta$AICc = {statistics[f'{folder}/difference']:+.1f}"
                    name += f", p = {statistics[f'{folder}/p_value']:.2g}"
                ax.plot(grid, factor * curve, style, color=color, label=name)
                rows += [
                    [source, data, quantity, law, "", x, value]
                    for x, value in zip(grid, curve, strict=True)
                ]
            if source == "published":
                printed = _law(grid, "exponential", statistics[f"published/{quantity}/printed"])
                ax.plot(grid, factor * printed, "-.", color="k", lw=0.7, label="published fit")
                rows += [
                    [source, data, quantity, "published fit", "", x, value]
                    for x, value in zip(grid, printed, strict=True)
                ]
            ax.set_xlabel("epoch $t$ of the lowest value")
            unit = ", %" if quantity == "error" else ""
            ax.set_ylabel(f"lowest validation {quantity}{unit}")
            span = factor * np.ptp(y)
            ax.set_ylim(factor * y.min() - 0.1 * span, factor * y.max() + 0.15 * span)
            ax.legend(loc="upper right", fontsize=6)
    save_figure(figure, files, BUDGET_COLUMNS, rows)


def _law(t: np.ndarray, law: str, parameters: np.ndarray) -> np.ndarray:
    a, b, c = parameters
    if law == "line":
        return a + b * t
    return a + b * (np.exp(c * t) if law == "exponential" else t**c)


# Figure X3 ----------------------------------------------------------------------------------------


def draw_theorems(
    statistics: Statistics, learning_rates: Mapping[str, float], label: str, files: Files
) -> None:
    """Theorem 8.1 on quadratics above; theorem 8.2's assumption on trained networks below."""
    figure, axes = new_figure(2, 3, panel=(2.6, 2.5))
    quadratic = _below("quadratic", statistics)
    runs = {
        arm: [_below(f"iterates/{arm}/{i}", statistics) for i in _replicates(statistics, arm)]
        for arm in learning_rates
    }
    data = str(statistics["data"])
    rows: list[list[Any]] = []
    _draw_rates(axes[0, 0], quadratic, rows)
    _draw_steps(axes[0, 1], quadratic, rows)
    by_rate = sorted(runs, key=learning_rates.__getitem__)
    colors = dict(zip(by_rate, (GREEN, VERMILION, BLUE, ORANGE, PURPLE), strict=False))
    for arm, replicates in runs.items():
        name = rf"$\alpha$ = {learning_rates[arm]:g}"
        _draw_distances(axes[0, 2], replicates, colors[arm], name, data, rows)
        _draw_correlations(axes[1, 0], replicates, colors[arm], name, data, rows)
        _draw_variances(axes[1, 1], replicates, colors[arm], name, data, rows)
        _draw_bound(axes[1, 2], replicates, colors[arm], name, data, rows)
    figure.suptitle(f"theorem 8.1: simulated quadratic; 8.2: {label}", fontsize=7)
    axes[0, 2].set_xlabel("epochs apart")
    axes[0, 2].set_ylabel(r"distance $d_{ij}$ of iterates")
    axes[0, 2].set_ylim(bottom=0)
    axes[1, 0].set_xlabel(r"distance $d_{ij}$")
    axes[1, 0].set_ylabel("correlation of gradients")
    axes[1, 0].set_xlim(left=0)
    axes[1, 1].set_xlabel("epoch")
    axes[1, 1].set_ylabel(r"$P^{-1}\,$Tr Cov$(g_i)$, over the first")
    axes[1, 2].set_xlabel("iterates $T$ in the mean")
    axes[1, 2].set_ylabel(r"$P^{-1}\,$Tr Cov$(g_{avg})$, relative")
    axes[1, 1].axhline(1, color="k", lw=0.6, ls=":")
    for ax in (axes[1, 0], axes[1, 2]):
        ax.plot([], [], "-", color="0.4", label="kernel" if ax is axes[1, 0] else "bound (19)")
        ax.set_ylim(0, max(1.35, ax.get_ylim()[1]))
    axes[1, 2].plot([], [], "o", ms=3, color="0.4", label="measured")
    axes[1, 2].plot([], [], ":", color="0.4", label="independent")
    for ax in (axes[0, 2], axes[1, 1]):
        ax.locator_params(axis="x", integer=True)
    for ax in (axes[0, 2], axes[1, 0], axes[1, 1], axes[1, 2]):
        ax.legend(loc="best", fontsize=6)
    save_figure(figure, files, THEOREM_COLUMNS, rows)


def _below(prefix: str, statistics: Statistics) -> dict[str, Any]:
    return {
        name.removeprefix(f"{prefix}/"): value
        for name, value in statistics.items()
        if name.startswith(f"{prefix}/")
    }


def _replicates(statistics: Statistics, arm: str) -> list[int]:
    ends = f"iterates/{arm}/", "/epoch"
    return sorted(
        int(name.removeprefix(ends[0]).removesuffix(ends[1]))
        for name in statistics
        if name.startswith(ends[0]) and name.endswith(ends[1])
    )


_FORM_STYLES = {"corrected": (BLUE, "-"), "printed": (VERMILION, "--"), "exact": ("k", ":")}


def _draw_rates(ax: Any, quadratic: Statistics, rows: list[list[Any]]) -> None:
    """The average's variance against the learning rate, at the most steps."""
    alpha, steps = quadratic["learning_rate"], quadratic["steps"]
    variance = quadratic["average/variance"][:, -1]
    low, high = quadratic["average/interval"][:, -1].T
    bars = [variance - low, high - variance]
    ax.errorbar(alpha, variance, bars, fmt="o", ms=3, color="k", lw=0.8)
    for form, (color, style) in _FORM_STYLES.items():
        p = float(quadratic[f"{form}/p_value"])
        value = quadratic[f"average/{form}"][:, -1]
        name = f"{form}, p = {p:.2f}" if p >= 0.01 else f"{form}, p < 0.01"
        ax.plot(alpha, value, style, color=color, label=name)
        rows += [
            ["rates", "quadratic", form, *pair, "", ""] for pair in zip(alpha, value, strict=True)
        ]
    points = zip(alpha, variance, low, high, strict=True)
    rows += [["rates", "quadratic", "measured", *point] for point in points]
    slope, below, above = quadratic["exponent"]
    title = f"8.1, n = {steps[-1]}: exponent {slope:.3f} [{below:.3f}, {above:.3f}]"
    ax.set_title(title, loc="left", fontsize=7)
    ax.set(xscale="log", yscale="log", xlabel=r"learning rate $\alpha$")
    ax.set_xticks(alpha, [f"{rate:g}" for rate in alpha])
    ax.yaxis.set_minor_formatter("")
    ax.minorticks_off()
    ax.set_ylim(bottom=quadratic["average/printed"][:, -1].min() / 10)
    ax.set_ylabel("variance of the average")
    ax.legend(loc="lower right", fontsize=6)


def _draw_steps(ax: Any, quadratic: Statistics, rows: list[list[Any]]) -> None:
    """Variances of iterate and average against their number, at the middle learning rate."""
    middle, steps = len(quadratic["learning_rate"]) // 2, quadratic["steps"]
    for name, color in (("iterate", GREEN), ("average", "k")):
        variance, (low, high) = (
            quadratic[f"{name}/variance"][middle],
            quadratic[f"{name}/interval"][middle].T,
        )
        bars = [variance - low, high - variance]
        ax.errorbar(steps, variance, bars, fmt="o", ms=3, color=color, lw=0.8, label=name)
        ax.plot(steps, quadratic[f"{name}/exact"][middle], ":", color=color)
        points = zip(steps, variance, low, high, strict=True)
        rows += [["steps", "quadratic", name, *point] for point in points]
    for form in ("corrected", "printed"):
        color, style = _FORM_STYLES[form]
        ax.plot(steps, quadratic[f"average/{form}"][middle], style, color=color, label=form)
    rate = quadratic["learning_rate"][middle]
    ax.set_title(rf"8.1, $\alpha$ = {rate:g}; dotted: exact", loc="left")
    ax.set(xscale="log", yscale="log", xlabel="steps $n$", ylabel="variance")
    ax.legend(loc="lower left", fontsize=6)


def _draw_distances(
    ax: Any, replicates: list[Any], color: str, name: str, data: str, rows: list[list[Any]]
) -> None:
    for index, run in enumerate(replicates):
        i, j = np.triu_indices(len(run["epoch"]), 1)
        apart, d = run["epoch"][j] - run["epoch"][i], run["distance"][i, j]
        label = name if index == 0 else ""
        ax.plot(apart, d, "o", ms=3, color=color, mfc="none", label=label)
        points = zip(apart, d, strict=True)
        rows += [["distances", data, name, *point, "", ""] for point in points]


def _draw_correlations(
    ax: Any, replicates: list[Any], color: str, name: str, data: str, rows: list[list[Any]]
) -> None:
    for run in replicates:
        pairs = np.triu_indices(len(run["epoch"]), 1)
        d, r = run["distance"][pairs], correlations(run)[pairs]
        ax.plot(d, r, "o", ms=3, color=color, mfc="none")
        grid = np.geomspace(d.min(), d.max(), 50)
        kernel = covariance_trace(grid, 1.0, run["length"], int(run["parameters"]))
        ax.plot(grid, kernel, color=color, lw=0.7)
        rows += [["correlations", data, name, *p, "", ""] for p in zip(d, r, strict=True)]


def _draw_variances(
    ax: Any, replicates: list[Any], color: str, name: str, data: str, rows: list[list[Any]]
) -> None:
    for index, run in enumerate(replicates):
        trace, interval = np.diag(run["covariance"]), np.diagonal(run["interval"]).T
        ax.errorbar(
            run["epoch"],
            trace / trace[0],
            np.abs(interval.T - trace) / trace[0],
            fmt="o-",
            ms=3,
            lw=0.7,
            color=color,
            label=name if index == 0 else "",
        )
        points = zip(run["epoch"], trace, *interval.T, strict=True)
        rows += [["variances", data, name, *point] for point in points]


def _draw_bound(
    ax: Any, replicates: list[Any], color: str, name: str, data: str, rows: list[list[Any]]
) -> None:
    for index, run in enumerate(replicates):
        t = np.arange(1, len(run["measured"]) + 1)
        label, unit = name if index == 0 else "", np.diag(run["covariance"]).mean()
        ax.plot(t, run["measured"] / unit, "o", ms=3, color=color, mfc="none")
        ax.plot(t, run["bound"] / unit, "-", lw=0.7, color=color, label=label)
        ax.plot(t, run["independent"] / unit, ":", lw=0.7, color=color)
        for series in ("measured", "bound", "independent"):
            points = zip(t, run[series], strict=True)
            rows += [["bound", data, f"{name}, {series}", *point, "", ""] for point in points]
        ax.set_xticks(t)
