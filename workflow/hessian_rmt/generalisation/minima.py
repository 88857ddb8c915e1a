"""Lowest validation loss and error of trainings of different length (`applicability` 8.1).

For every training the lowest value over its epochs, and the epoch where it is attained (the first
one, where several share it). The laws of `decay_fits` are fitted to all trainings at once, against
the epoch attained, as in the published figure, and against the budget, which is what was chosen.
The published minima go through the same fits. A lowest value over epochs is selected on the split
that it is measured on: it lies below what a further split would give, for all budgets alike.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hessian_rmt.generalisation.decay_fits import (
    LAWS,
    Array,
    compare,
    fit_decay,
    lack_of_fit,
)
from hessian_rmt.generalisation.published import PARAMETERS, published_minima

QUANTITIES = ("loss", "error")
AXES = ("epoch", "budget")
SOURCES = ("published", "measured")
FIT_COLUMNS = (
    "source",
    "quantity",
    "against",
    "law",
    "a",
    "a_low",
    "a_high",
    "b",
    "b_low",
    "b_high",
    "c",
    "c_low",
    "c_high",
    "aicc_minus_exponential",
    "p_value_against_exponential",
    "p_value_of_exponential_against_it",
    "lack_of_fit_p_value",
    "values",
)


def lowest(tables: Sequence[Mapping[str, Array]], budgets: Sequence[int]) -> dict[str, Array]:
    """The minima of trainings, one table (columns by name) and budget each.

    Returns `budget`, and for Q of loss and error `Q` and `Q_epoch`, (n,). Epoch 0, the
    initialisation, counts as no epoch.
    """
    minima: dict[str, list[float]] = {name: [] for name in ("loss", "loss_epoch")}
    minima |= {name: [] for name in ("error", "error_epoch")}
    for table in tables:
        trained = table["epoch"] > 0
        curves = {"loss": table["held_out_loss"], "error": 1 - table["held_out_accuracy"]}
        for name, curve in curves.items():
            index = int(np.argmin(curve[trained]))
            minima[name].append(float(curve[trained][index]))
            minima[f"{name}_epoch"].append(float(table["epoch"][trained][index]))
    return {"budget": np.array(budgets, float)} | {k: np.array(v) for k, v in minima.items()}


def budget_statistics(
    measured: Mapping[str, Array], *, bootstrap: int, seed: int
) -> dict[str, Any]:
    """Fits of all laws to the published and the measured minima.

    For S of `SOURCES`: S/minima/budget, S/minima/Q_epoch and S/minima/Q (n,). For Q of
    `QUANTITIES`, X of `AXES` and L of `LAWS`: S/Q/X/L/parameters (3,), intervals (3, 2) of 95 %,
    rss, aicc; laws other than the exponential have S/Q/X/L/difference, their AICc minus the
    exponential's, with the p-values `p_value` (of L against the exponential) and
    `exponential_p_value` (the reverse), and all S/Q/budget/L have `lack_of_fit` (nan without
    replicates). `published/Q/printed` (3,) are the published parameters.
    """
    rng = np.random.default_rng(seed)
    statistics: dict[str, Any] = {}
    for source, minima in zip(SOURCES, (published_minima(), measured), strict=True):
        statistics |= {f"{source}/minima/{name}": values for name, values in minima.items()}
        for quantity in QUANTITIES:
            y = minima[quantity]
            for axis in AXES:
                t = minima[f"{quantity}_epoch" if axis == "epoch" else "budget"]
                for law in LAWS:
                    fit = fit_decay(t, y, law)
                    of_law: dict[str, Any] = {
                        "parameters": fit.parameters,
                        "intervals": fit.intervals,
                        "rss": fit.rss,
                        "aicc": fit.aicc,
                    }
                    if law != "exponential":
                        difference, p_value = compare(
                            t, y, law, "exponential", rng, replicates=bootstrap
                        )
                        _, reverse = compare(t, y, "exponential", law, rng, replicates=bootstrap)
                        of_law |= {"difference": difference, "p_value": p_value}
                        of_law["exponential_p_value"] = reverse
                    if axis == "budget":
                        of_law["lack_of_fit"] = lack_of_fit(t, y, fit)
                    folder = f"{source}/{quantity}/{axis}/{law}"
                    statistics |= {f"{folder}/{k}": v for k, v in of_law.items()}
    for quantity in QUANTITIES:
        statistics[f"published/{quantity}/printed"] = np.array(PARAMETERS[quantity])
    return statistics


def fit_rows(statistics: Mapping[str, Any]) -> list[list[Any]]:
    """A row of `FIT_COLUMNS` for every fit; nan where a number is not defined."""
    rows = []
    for source in SOURCES:
        for quantity in QUANTITIES:
            for axis in AXES:
                for law in LAWS:
                    of_law = {
                        name: statistics.get(f"{source}/{quantity}/{axis}/{law}/{name}", np.nan)
                        for name in (
                            *("parameters", "intervals", "difference", "p_value"),
                            *("exponential_p_value", "lack_of_fit"),
                        )
                    }
                    row: list[Any] = [source, quantity, axis, law]
                    for value, (low, high) in zip(
                        of_law["parameters"], of_law["intervals"], strict=True
                    ):
                        row += [value, low, high]
                    row += [0.0 if law == "exponential" else of_law["difference"]]
                    row += [of_law["p_value"], of_law["exponential_p_value"], of_law["lack_of_fit"]]
                    rows.append([*row, len(statistics[f"{source}/minima/{quantity}"])])
    return rows
