"""Is the spectrum of a sum of non-invariant matrices the free convolution? `universality` 3.3.

The spectra of A + B are compared with mu_A boxplus mu_B, and, so that the comparison has a scale,
with those of A + Q B Q^T, Q Haar, which are free in the limit: distances to the law of one matrix
each, for both kinds of sum, must have one distribution. Sums of two diagonal matrices, which
commute, are the control that must be rejected.
"""

from collections.abc import Iterator
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from scipy.stats import mannwhitneyu

from hessian_rmt.rmt.ensembles import (
    ENSEMBLES,
    GOE_LAW,
    Ensemble,
    diagonal,
    regular_graph,
    rotated,
)
from hessian_rmt.rmt.free_convolution import free_additive_convolution
from hessian_rmt.rmt.law import Law
from hessian_rmt.rmt.laws import KestenMcKay
from hessian_rmt.seeds import derive_seed

CONTROL = "diagonal"
GRID = 400
# Eigenvalues further than this beyond the support, in its widths, are outliers of a non-zero mean.
MARGIN = 0.1


def sum_of_pairs(size: int, samples: int, seed: int) -> dict[str, Any]:
    """Every pair of `ENSEMBLES` and the control, flat for HDF5.

    For each pair P = "first+second": P/eigenvalues (samples, size), P/grid and P/density of the
    free convolution, P/distances and P/rotated_distances (samples,) of single matrices, P/distance
    of the pooled bulk, P/p_value (Mann-Whitney, whether the two kinds of distances differ),
    P/outliers (number per matrix) and P/outlier_mean (nan without).
    """
    control = Ensemble(diagonal, lambda n: GOE_LAW)
    statistics: dict[str, Any] = {}
    pairs = [*combinations_with_replacement(ENSEMBLES, 2), (CONTROL, CONTROL)]
    for first, second in pairs:
        a, b = (control if name == CONTROL else ENSEMBLES[name] for name in (first, second))
        rng = np.random.default_rng(derive_seed(seed, "sums", first, second))
        law = free_additive_convolution(a.law(size), b.law(size))
        plain, turned = np.empty((2, samples, size))
        for i in range(samples):
            left, right = a.sample(size, rng), b.sample(size, rng)
            plain[i] = np.linalg.eigvalsh(left + right)
            turned[i] = np.linalg.eigvalsh(left + rotated(right, rng))
        name = f"{first}+{second}"
        statistics |= {f"{name}/{key}": value for key, value in _compared(plain, turned, law)}
    return statistics


def sum_with_graphs(size: int, samples: int, degrees: list[int], seed: int) -> dict[str, Any]:
    """Regular graphs plus Wigner and Wishart matrices, uniform and Gaussian entries (fig. 5).

    For each degree d and summand S in `ENSEMBLES` but GammaWig: "d/S/eigenvalues" (samples, size);
    and "d/grid", "d/density" of Kesten-McKay boxplus semicircle. The adjacency matrix is as it is,
    so its trivial eigenvalue d is an outlier.
    """
    statistics: dict[str, Any] = {}
    for degree in degrees:
        for name in ("GOE", "UWig", "Wish", "UWish"):
            rng = np.random.default_rng(derive_seed(seed, "graphs", degree, name))
            statistics[f"{degree}/{name}/eigenvalues"] = np.stack(
                [
                    np.linalg.eigvalsh(
                        regular_graph(size, rng, degree=degree) + ENSEMBLES[name].sample(size, rng)
                    )
                    for _ in range(samples)
                ]
            )
        law = free_additive_convolution(KestenMcKay(degree), GOE_LAW)
        grid = _grid(law)
        statistics |= {f"{degree}/grid": grid, f"{degree}/density": law.density(grid)}
    return statistics


def _compared(plain: np.ndarray, turned: np.ndarray, law: Law) -> Iterator[tuple[str, Any]]:
    low, high = law.support[0][0], law.support[-1][1]
    margin = MARGIN * (high - low)
    in_bulk = (plain > low - margin) & (plain < high + margin)
    distances, rotated_distances = (
        np.array(
            [_distance(row[(row > low - margin) & (row < high + margin)], law) for row in rows]
        )
        for rows in (plain, turned)
    )
    grid = _grid(law)
    yield "eigenvalues", plain
    yield "grid", grid
    yield "density", law.density(grid)
    yield "distances", distances
    yield "rotated_distances", rotated_distances
    yield "distance", _distance(plain[in_bulk], law)
    yield "p_value", float(mannwhitneyu(distances, rotated_distances).pvalue)
    yield "outliers", float((~in_bulk).sum() / len(plain))
    yield "outlier_mean", float(plain[~in_bulk].mean()) if (~in_bulk).any() else np.nan


def _grid(law: Law) -> np.ndarray:
    low, high = law.support[0][0], law.support[-1][1]
    return np.linspace(low, high, GRID)


def _distance(values: np.ndarray, law: Law) -> float:
    """sup |F_n - F|."""
    expected, n = law.cdf(np.sort(values)), len(values)
    above = np.arange(1, n + 1) / n - expected
    return float(max(above.max(), (1 / n - above).max()))
