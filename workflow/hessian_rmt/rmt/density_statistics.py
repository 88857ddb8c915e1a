"""Extreme eigenvalues over drawn batches and augmented sets (`deep_learning_limit` 5, 6, table 1).

A batch of B examples is drawn from the T, so its Hessian is H + E with H that of all T and E of
mean zero: in (18) the eigenvalues of H stand for the true ones, and the mean square eigenvalue of E
is N sigma^2 / B, measured (`curvature.density`). By Weyl's inequality an extreme eigenvalue moves
by no more than ||E||, of whose spectrum both ends are measured too; a GOE matrix would end at twice
its root mean square. On the mean over draws the largest eigenvalue can only rise and the smallest
only fall (convexity), whatever the law of E: what counts is by how much.

Each Ritz value is within its residual of an eigenvalue, and no further out than the extreme one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal
from scipy.stats import t as student

from hessian_rmt.errors import UserError
from hessian_rmt.rmt.spiked_wigner import outermost_eigenvalue

Array = NDArray[np.float64]
Table = Mapping[str, Any]

ENDS = {"largest": 1, "smallest": -1}
EDGE = 0.005  # share of the eigenvalues that lie beyond a bulk edge, at either end
DRAW_COLUMNS = (
    "run",
    "epoch",
    "end",
    "parameters",
    "examples",
    "batch_size",
    "draws",
    "full",
    "full_residual",
    "mean",
    "low",
    "high",
    "largest_residual",
    "draws_beyond_full",
    "noise_root_mean_square",
    "noise_standard_error",
    "noise_end",
    "goe_edge",
    "printed",
    "corrected",
)
AUGMENTED_COLUMNS = (
    "run",
    "epoch",
    "sample",
    "examples",
    "parameters_per_example",
    "steps",
    "largest",
    "largest_residual",
    "smallest",
    "smallest_residual",
    "largest_factor",
    "smallest_factor",
    "few_steps",
    "largest_of_few_steps",
    "smallest_of_few_steps",
    "largest_factor_of_few_steps",
    "smallest_factor_of_few_steps",
    "largest_printed",
    "largest_corrected",
    "smallest_printed",
    "smallest_corrected",
    "lower_edge",
    "upper_edge",
    "smallest_over_edge",
    "smallest_gap",
    "smallest_gap_error",
    "largest_gap",
    "largest_gap_error",
)


def extreme_pair(table: Table, end: int, prefix: str = "") -> tuple[float, float]:
    """The largest (end 1) or smallest (-1) Ritz value of all probes, and its residual."""
    values = table[f"{prefix}nodes"]
    index = int(np.argmax(end * values))
    return float(values[index]), float(table[f"{prefix}residuals"][index])


def truncated_extreme(table: Table, end: int, steps: int) -> float:
    """The extreme Ritz value after the first `steps` Lanczos steps, over all probes."""
    found = []
    for diagonal, off_diagonal in zip(table["diagonal"], table["off_diagonal"], strict=True):
        m = min(steps, int(np.isfinite(diagonal).sum()))
        values = eigh_tridiagonal(diagonal[:m], off_diagonal[: m - 1], eigvals_only=True)
        found.append(values[-1 if end > 0 else 0])
    return float(end * np.max(end * np.array(found)))


def bulk_edges(table: Table) -> tuple[float, float]:
    """Where the quadrature has `EDGE` of its weight further out, at the lower and the upper end."""
    order = np.argsort(table["nodes"])
    nodes, below = table["nodes"][order], np.cumsum(table["weights"][order])
    lower = nodes[np.searchsorted(below, EDGE)]
    upper = nodes[np.searchsorted(below, 1 - EDGE)]
    return float(lower), float(upper)


def relative_gap(table: Table, end: int) -> tuple[float, float]:
    """(outermost - next) / outermost of the first probe's Ritz values, and its residuals' share."""
    first = table["probe"] == 0
    values, residuals = end * table["nodes"][first], table["residuals"][first]
    if len(values) < 2:
        return np.nan, np.nan
    outer, inner = np.argsort(-values)[:2]
    gap = (values[outer] - values[inner]) / abs(values[outer])
    return float(gap), float((residuals[outer] + residuals[inner]) / abs(values[outer]))


def noise_variance(draws: Sequence[Table]) -> tuple[float, float]:
    """N sigma^2 / B, the mean square eigenvalue of a batch's noise, and its standard error."""
    squares = [_mean_square(table) for table in draws]
    return float(np.mean(squares)), float(np.std(squares, ddof=1) / np.sqrt(len(squares)))


def _mean_square(table: Table) -> float:
    return float(np.sum(table["noise/weights"] * table["noise/nodes"] ** 2))


def draw_statistics(full: Table, draws: Sequence[Table]) -> dict[str, Any]:
    """A full Hessian's extreme eigenvalues beside those of drawn batches and (18).

    Returns scalars parameters, examples, batch_size, noise_mean_square with its standard error,
    goe_edge = 2 sqrt(noise_mean_square), and per end ("largest/full" ...): full and its residual,
    draws and residuals (S,), mean with a 95 % interval (Student), noise_end (S,), the end of the
    measured noise, and printed and corrected, (18) with both thresholds.
    """
    if len(draws) < 2:
        raise UserError("one drawn batch gives no interval; set density.draws.seeds to 2 or more")
    square, error = noise_variance(draws)
    parameters, batch_size = int(full["parameters"]), int(draws[0]["batch_size"])
    ratio = parameters / batch_size
    deviation = np.sqrt(square / ratio)
    statistics: dict[str, Any] = {
        "parameters": parameters,
        "examples": int(full["examples"]),
        "batch_size": batch_size,
        "noise_mean_square": square,
        "noise_mean_square_error": error,
        "goe_edge": 2 * np.sqrt(square),
        "deviation": deviation,
    }
    for name, end in ENDS.items():
        value, residual = extreme_pair(full, end)
        found = np.array([extreme_pair(table, end) for table in draws])
        mean, low, high = _mean_interval(found[:, 0])
        statistics |= {
            f"{name}/full": value,
            f"{name}/full_residual": residual,
            f"{name}/draws": found[:, 0],
            f"{name}/residuals": found[:, 1],
            f"{name}/mean": mean,
            f"{name}/low": low,
            f"{name}/high": high,
            f"{name}/noise_end": np.array([extreme_pair(t, end, "noise/")[0] for t in draws]),
        }
        for form in ("printed", "corrected"):
            predicted = outermost_eigenvalue(
                value, deviation, ratio, end=end, printed=form == "printed"
            )
            statistics[f"{name}/{form}"] = float(predicted)
    return statistics


def _mean_interval(values: Array) -> tuple[float, float, float]:
    n, mean = len(values), float(values.mean())
    half = float(student.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n))
    return mean, mean - half, mean + half


def draw_rows(run: str, epoch: int, statistics: Table) -> list[list[Any]]:
    """Rows of `DRAW_COLUMNS`, one for each end."""
    rows = []
    root = float(np.sqrt(statistics["noise_mean_square"]))
    for name, end in ENDS.items():
        own = {key: statistics[f"{name}/{key}"] for key in ("full", "full_residual", "draws")}
        rows.append(
            [
                run,
                epoch,
                name,
                *(statistics[key] for key in ("parameters", "examples", "batch_size")),
                len(own["draws"]),
                own["full"],
                own["full_residual"],
                *(statistics[f"{name}/{key}"] for key in ("mean", "low", "high")),
                float(statistics[f"{name}/residuals"].max()),
                int(np.sum(end * own["draws"] > end * own["full"])),
                root,
                statistics["noise_mean_square_error"] / (2 * root),
                float(statistics[f"{name}/noise_end"].mean()),
                end * statistics["goe_edge"],
                statistics[f"{name}/printed"],
                statistics[f"{name}/corrected"],
            ]
        )
    return rows


def augmented_statistics(
    full: Table, augmented: Sequence[Table], draws: Sequence[Table]
) -> dict[str, Any]:
    """The extreme eigenvalues by sample size, T first, with what (18) makes of the largest set's.

    Returns examples, copies, steps, random_start, parameters; per end value, residual, of_few_steps
    (Ritz values after as many steps from a random vector as the shortest run has), gap, gap_error,
    printed and corrected: (18) with the variance from `draws` and the last sample's eigenvalue for
    the true one; lower_edge and upper_edge (`bulk_edges`). All of the length of 1 + len(augmented);
    NaN what needs a random start where there is none.
    """
    tables = [full, *augmented]
    square, _ = noise_variance(draws)
    parameters = int(full["parameters"])
    deviation = np.sqrt(square * int(draws[0]["batch_size"]) / parameters)
    examples = np.array([int(table["examples"]) for table in tables])
    steps = np.array([table["diagonal"].shape[1] for table in tables])
    few = int(steps.min())
    random = [bool(table["random_start"]) for table in tables]
    edges = np.array(
        [bulk_edges(t) if ok else (np.nan, np.nan) for t, ok in zip(tables, random, strict=True)]
    )
    statistics: dict[str, Any] = {
        "parameters": parameters,
        "examples": examples,
        "copies": np.array([int(table["copies"]) for table in tables]),
        "steps": steps,
        "few_steps": few,
        "random_start": np.array(random),
        "deviation": deviation,
        "lower_edge": edges[:, 0],
        "upper_edge": edges[:, 1],
    }
    for name, end in ENDS.items():
        pairs = np.array([extreme_pair(table, end) for table in tables])
        gaps = np.array([relative_gap(table, end) for table in tables])
        statistics |= {
            f"{name}/value": pairs[:, 0],
            f"{name}/residual": pairs[:, 1],
            f"{name}/of_few_steps": np.array(
                [
                    truncated_extreme(t, end, few) if ok else np.nan
                    for t, ok in zip(tables, random, strict=True)
                ]
            ),
            f"{name}/gap": gaps[:, 0],
            f"{name}/gap_error": gaps[:, 1],
        }
        for form in ("printed", "corrected"):
            statistics[f"{name}/{form}"] = np.array(
                [
                    outermost_eigenvalue(
                        pairs[-1, 0], deviation, parameters / n, end=end, printed=form == "printed"
                    )
                    for n in examples
                ]
            )
    return statistics


def augmented_rows(run: str, epoch: int, statistics: Table) -> list[list[Any]]:
    """Rows of `AUGMENTED_COLUMNS`, one for each sample; factor: previous value over this one."""
    rows = []
    for i, copies in enumerate(statistics["copies"]):
        value = {name: statistics[f"{name}/value"][i] for name in ENDS}
        rows.append(
            [
                run,
                epoch,
                f"augmented-{copies:03d}" if copies else "full",
                int(statistics["examples"][i]),
                statistics["parameters"] / statistics["examples"][i],
                int(statistics["steps"][i]),
                *(statistics[f"{name}/{key}"][i] for name in ENDS for key in ("value", "residual")),
                *(_factor(statistics[f"{name}/value"], i) for name in ENDS),
                statistics["few_steps"],
                *(statistics[f"{name}/of_few_steps"][i] for name in ENDS),
                *(_factor(statistics[f"{name}/of_few_steps"], i) for name in ENDS),
                *(
                    statistics[f"{name}/{form}"][i]
                    for name in ENDS
                    for form in ("printed", "corrected")
                ),
                statistics["lower_edge"][i],
                statistics["upper_edge"][i],
                value["smallest"] / statistics["lower_edge"][i],
                *(
                    statistics[f"{name}/{key}"][i]
                    for name in ("smallest", "largest")
                    for key in ("gap", "gap_error")
                ),
            ]
        )
    return rows


def _factor(values: Array, i: int) -> float:
    return float(values[i - 1] / values[i]) if i else np.nan
