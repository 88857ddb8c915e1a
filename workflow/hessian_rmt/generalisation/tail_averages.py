"""SGD against the tail average of its iterates (`applicability` figure 7): errors by epoch.

Replicates r share initialisation and batches between arms, so the differences

    d_r = error of the average - error of the reference's last iterate

after equally many epochs are paired. Their mean has an interval from Student's t over replicates;
the exact sign-flip test needs no normality, and its smallest p-value is 2^(1 - replicates). Two
more differences tell where the gain comes from: that to the last iterate of the average's own,
unreduced learning rate; and, at the first epoch of the tail, that of the average of one iterate to
this iterate, which is the effect of recomputed BatchNorm statistics alone.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from scipy import stats

from hessian_rmt.generalisation.decay_fits import Array

CURVES = ("error", "loss", "average_error", "average_loss")
DIFFERENCES = ("average_minus_reference", "average_minus_own_iterate", "recomputed_statistics")
COLUMNS = ("difference", "quantity", "mean", "low", "high", "p_value", "replicates", "values")
_MOST_SIGNS = 16  # replicates whose sign flips are enumerated


def curves(tables: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Errors and losses of an arm, (replicates, epochs); nan where there is no average."""
    stacked = {"epoch": tables[0]["epoch"]}
    for name in CURVES:
        prefix, _, quantity = name.rpartition("_")
        prefix = f"{prefix}_" if prefix else ""
        column = f"{prefix}held_out_" + {"error": "accuracy", "loss": "loss"}[quantity]
        missing = np.full(len(tables[0]["epoch"]), np.nan)
        values = np.array([table.get(column, missing) for table in tables])
        stacked[name] = 1 - values if quantity == "error" else values
    return stacked


def averaging_statistics(
    arms: Mapping[str, Sequence[Mapping[str, Array]]], *, reference: str, averaged: str
) -> dict[str, Any]:
    """Curves of all arms, and the paired differences of `averaged` to `reference` at the end.

    arms: the training tables of each arm's replicates, in the same order. For D of `DIFFERENCES`
    and Q of error and loss: D/Q/values (replicates,), mean, interval (2,), p_value.
    """
    statistics: dict[str, Any] = {"reference": reference, "averaged": averaged}
    found = {arm: curves(tables) for arm, tables in arms.items()}
    for arm, of_arm in found.items():
        statistics |= {f"arms/{arm}/{name}": values for name, values in of_arm.items()}
    own, other = found[averaged], found[reference]
    first = int(np.flatnonzero(~np.isnan(own["average_error"][0]))[0])
    for quantity in ("error", "loss"):
        average = own[f"average_{quantity}"]
        differences = {
            "average_minus_reference": average[:, -1] - other[quantity][:, -1],
            "average_minus_own_iterate": average[:, -1] - own[quantity][:, -1],
            "recomputed_statistics": average[:, first] - own[quantity][:, first],
        }
        for name, values in differences.items():
            statistics |= {f"{name}/{quantity}/{k}": v for k, v in paired(values).items()}
    return statistics


def paired(differences: Array) -> dict[str, Any]:
    """Mean of paired differences (n,), its 95 % t interval, and the sign-flip test's p-value."""
    n, mean = len(differences), float(differences.mean())
    half = stats.t.ppf(0.975, n - 1) * differences.std(ddof=1) / np.sqrt(n)
    return {
        "values": differences,
        "mean": mean,
        "interval": np.array([mean - half, mean + half]),
        "p_value": sign_flip_p_value(differences),
    }


def sign_flip_p_value(differences: Array) -> float:
    """Two-sided: the share of sign patterns with a mean as far from 0; exact up to 16 values."""
    n = len(differences)
    if n <= _MOST_SIGNS:
        signs = np.array(list(product((-1, 1), repeat=n)))
    else:
        signs = np.random.default_rng(n).choice((-1, 1), size=(2**_MOST_SIGNS, n))
        signs[0] = 1
    sums = np.abs(signs @ differences)
    return float(np.mean(sums >= np.abs(differences.sum()) * (1 - 1e-12)))


def summary_rows(statistics: Mapping[str, Any]) -> list[list[Any]]:
    """A row of `COLUMNS` for each difference and quantity; values as text."""
    rows = []
    for name in DIFFERENCES:
        for quantity in ("error", "loss"):
            at = {k: statistics[f"{name}/{quantity}/{k}"] for k in ("values", "mean", "p_value")}
            low, high = statistics[f"{name}/{quantity}/interval"]
            values = " ".join(repr(float(v)) for v in at["values"])
            count = len(at["values"])
            rows.append([name, quantity, at["mean"], low, high, at["p_value"], count, values])
    return rows
