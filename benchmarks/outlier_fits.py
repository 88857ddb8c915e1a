"""Variable projection against Adam for the outlier fit of `universality` (2.33).

    OMP_NUM_THREADS=2 python benchmarks/outlier_fits.py [results/benchmarks/outlier_fits.csv]

Both start from nothing and choose the exponent. Adam is timed twice: with all restarts and
exponents side by side, as in the library, and one after another, as in the paper (20 restarts of
200 steps at each of 9 exponents), both with this project's analytic gradient in NumPy.
"""

import sys
from collections.abc import Iterator
from functools import partial
from itertools import chain
from statistics import median

import numpy as np
from numpy.typing import NDArray

from common import Comparison, alternate, record, table
from hessian_rmt.rmt.outlier_adam import adam_fits
from hessian_rmt.rmt.outlier_curves import Solutions, best, joined
from hessian_rmt.rmt.outlier_model import COLUMNS, GRID, OutlierFit, fit_outliers, outlier_model

BATCH_SIZES = 2.0 ** np.arange(5, 14)
THETA = np.array([20.0, 10.0, 7.0, 5.0, 4.0])
N_SEEDS, RESTARTS, REPEATS = 10, 20, 3

# relative spread of one seed at b = 32, and the planted law
DATA_SETS = {
    "low noise": (0.02, {"alpha": 5.0, "beta": 300.0, "gamma": 1.5, "exponent": 0.5}),
    "usual noise": (0.2, {"alpha": 5.0, "beta": 300.0, "gamma": 1.5, "exponent": 0.5}),
    "slow decay": (0.2, {"alpha": 4.0, "beta": 60.0, "gamma": 1.0, "exponent": 0.3}),
    "fast decay": (0.2, {"alpha": 30.0, "beta": 4000.0, "gamma": 1.0, "exponent": 0.8}),
    "no beta": (0.2, {"alpha": 30.0, "beta": 0.0, "gamma": 0.0, "exponent": 0.5}),
    "high noise": (0.6, {"alpha": 5.0, "beta": 300.0, "gamma": 1.5, "exponent": 0.5}),
}
COLUMN_NAMES = (
    "data",
    "planted_exponent",
    "projection_seconds",
    "adam_side_by_side_seconds",
    "adam_as_paper_seconds",
    "ratio_side_by_side",
    "ratio_as_paper",
    "projection_mse",
    "adam_mse",
    "projection_beta",
    "adam_beta",
    "projection_feasible",
    "adam_feasible",
    "projection_exponent",
    "adam_exponent",
)


def synthetic(seed: int, spread: float, law: dict[str, float]) -> NDArray[np.float64]:
    """Outliers (n_batch_sizes, n_seeds, k) whose relative spread falls like b^-1/2."""
    rng = np.random.default_rng(seed)
    curves = outlier_model(BATCH_SIZES, THETA, **law)
    noise = spread * rng.standard_normal((len(BATCH_SIZES), N_SEEDS, len(THETA)))
    sizes = np.sqrt(BATCH_SIZES[0] / BATCH_SIZES)[:, None, None]
    return -np.sort(-curves[:, None] * (1 + noise * sizes), axis=2)


def adam_as_in_the_paper(data: NDArray[np.float64]) -> Solutions:
    """One restart at one exponent after another."""
    rng, means, log_b = np.random.default_rng(0), data.mean(1), np.log(BATCH_SIZES)
    runs = [
        adam_fits(log_b, means, np.array([exponent]), COLUMNS["full"], rng, restarts=1)
        for exponent in GRID
        for _ in range(RESTARTS)
    ]
    return best(joined(runs))


def feasible(fit: OutlierFit) -> bool:
    """beta >= 0 and theta_1 > ... > theta_k > 0."""
    return fit.beta >= 0 and bool(np.all(np.diff(fit.theta, append=0) < 0))


def comparisons(row: tuple) -> Iterator[Comparison]:
    """Against Adam one start after another, as in the paper, and against our Adam side by side."""
    values = dict(zip(COLUMN_NAMES, row, strict=True))
    for other, seconds, goal in (
        ("Adam, as in the paper", values["adam_as_paper_seconds"], 100.0),
        ("Adam, side by side", values["adam_side_by_side_seconds"], float("nan")),
    ):
        yield Comparison(
            "fit of the outlier model",
            values["data"],
            "times faster",
            seconds / values["projection_seconds"],
            at_least=goal,
            peer=other,
            our_seconds=values["projection_seconds"],
            peer_seconds=seconds,
            accuracy="mean squared error",
            our_accuracy=values["projection_mse"],
            peer_accuracy=values["adam_mse"],
        )


def main(path: str) -> None:
    rows = []
    for seed, (name, (spread, law)) in enumerate(DATA_SETS.items()):
        data = synthetic(seed, spread, law)
        projection = partial(fit_outliers, BATCH_SIZES, data)
        adam = partial(fit_outliers, BATCH_SIZES, data, method="adam")
        fit, other = projection(), adam()
        times = alternate([projection, adam, partial(adam_as_in_the_paper, data)], REPEATS)
        ours, side_by_side, as_paper = map(median, times)
        rows.append(
            (
                name,
                law["exponent"],
                ours,
                side_by_side,
                as_paper,
                side_by_side / ours,
                as_paper / ours,
                fit.mse,
                other.mse,
                fit.beta,
                other.beta,
                feasible(fit),
                feasible(other),
                fit.exponent,
                other.exponent,
            )
        )
    table(rows, COLUMN_NAMES, path)
    record(chain.from_iterable(map(comparisons, rows)), path)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "results/benchmarks/outlier_fits.csv")
