"""Fits to critical points of alpha = alpha_0 |epsilon - epsilon_c|^p, p = 3/2 (`geometry` (20)).

What is measured is the mean energy at a given index alpha (6.4), so that energy is the dependent
variable:  epsilon = epsilon_c + (alpha / alpha_0)^(1/p),  linear in alpha^(1/p). Intervals are
percentiles over resampled runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

Array = NDArray[np.float64]
# An eigenvalue is negative below minus the tolerance: the one used, and those to compare it with.
TOLERANCE = 1e-6
TOLERANCES = (0.0, 1e-8, TOLERANCE, 1e-4, 1e-3, 1e-2)
EXPONENT = 1.5
EXPONENTS = (0.4, 6.0)  # between which the free exponent is looked for
LEVELS = (2.5, 97.5)


@dataclass(frozen=True)
class IndexFit:
    """epsilon_c, alpha_0, the exponent p; 95 % intervals by name; the runs that were fitted."""

    critical_energy: float
    prefactor: float
    exponent: float
    intervals: dict[str, tuple[float, float]]
    runs: int


@dataclass(frozen=True)
class IndexBins:
    """Means over runs of neighbouring index: index, energy, its standard error, number of runs."""

    index: Array
    energy: Array
    error: Array
    runs: NDArray[np.int64]


def fit_index(
    energy: ArrayLike,
    index: ArrayLike,
    *,
    largest_index: float,
    free_exponent: bool = False,
    bootstrap: int = 200,
    seed: int = 0,
) -> IndexFit | None:
    """The fit to runs with index <= `largest_index`; None where they hold too few different values.

    `energy`, `index` (n,). With `free_exponent` p is fitted too, between EXPONENTS.
    """
    energies, indices = np.asarray(energy, float), np.asarray(index, float)
    small = indices <= largest_index
    energies, indices = energies[small], indices[small]
    if len(np.unique(indices)) < (4 if free_exponent else 3):
        return None
    rng = np.random.default_rng(seed)
    best = _fit(energies, indices, free_exponent)
    replicates = []
    for _ in range(bootstrap):
        chosen = rng.integers(len(energies), size=len(energies))
        if len(np.unique(indices[chosen])) >= 3:
            replicates.append(_fit(energies[chosen], indices[chosen], free_exponent))
    low, high = (
        np.nanpercentile(replicates, LEVELS, axis=0) if replicates else np.full((2, 3), np.nan)
    )
    names = ("critical_energy", "prefactor", "exponent")
    intervals = {name: (float(low[i]), float(high[i])) for i, name in enumerate(names)}
    return IndexFit(*best, intervals, len(energies))


def mean_energy_by_index(energy: ArrayLike, index: ArrayLike, *, least_runs: int) -> IndexBins:
    """Mean energies over groups of equal or neighbouring index, each of `least_runs` or more."""
    order = np.argsort(index, kind="stable")
    indices, energies = np.asarray(index, float)[order], np.asarray(energy, float)[order]
    groups: list[slice] = []
    start = 0
    for end in range(1, len(indices) + 1):
        last = end == len(indices)
        if last or (end - start >= least_runs and indices[end] > indices[end - 1]):
            if last and groups and end - start < least_runs:
                start = groups.pop().start
            groups.append(slice(start, end))
            start = end
    count = np.array([group.stop - group.start for group in groups], np.int64)
    spread = [energies[g].std(ddof=1) if g.stop - g.start > 1 else np.nan for g in groups]
    return IndexBins(
        np.array([indices[group].mean() for group in groups]),
        np.array([energies[group].mean() for group in groups]),
        np.array(spread) / np.sqrt(count),
        count,
    )


def fraction_below(eigenvalues: ArrayLike, tolerances: Sequence[float]) -> Array:
    """The index with each zero tolerance: the fraction of eigenvalues (B, P) below -tolerance.

    Shape (tolerances, B).
    """
    values = np.asarray(eigenvalues)
    return np.stack([(values < -tolerance).mean(axis=-1) for tolerance in tolerances])


def _fit(energy: Array, index: Array, free: bool) -> tuple[float, float, float]:
    exponent = EXPONENT
    if free:
        found: Any = minimize_scalar(
            lambda log_p: _line(energy, index ** np.exp(-log_p))[2],
            bounds=tuple(np.log(EXPONENTS)),
            method="bounded",
        )
        exponent = float(np.exp(found.x))
    intercept, slope, _ = _line(energy, index ** (1 / exponent))
    prefactor = slope**-exponent if slope > 0 else np.nan
    return intercept, prefactor, exponent


def _line(y: Array, x: Array) -> tuple[float, float, float]:
    """Least squares y = intercept + slope x, and the sum of squares that is left."""
    dx, dy = x - x.mean(), y - y.mean()
    slope = float(dx @ dy / (dx @ dx)) if dx.any() else 0.0
    rest = dy - slope * dx
    return float(y.mean() - slope * x.mean()), slope, float(rest @ rest)
