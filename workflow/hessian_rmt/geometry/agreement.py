"""Hotelling's one-sample test, and what it is applied to: statistics without their 1/N term.

The mean of a linear statistic T_N of real random matrices of order N differs from its limit by
c / N + ..., more than its standard error over a few matrices. 2 T_N - T_(N/2) has no such term,
so its mean over independent pairs tests the limit itself. With sample mean m and covariance S of
n draws of k numbers, n (m - mu)^T S^-1 (m - mu) (n - k) / (k (n - 1)) follows F(k, n - k).
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import f as f_distribution

from hessian_rmt.rmt.law import Array


def extrapolated(large: ArrayLike, small: ArrayLike) -> Array:
    """2 T_N - T_(N/2) from the statistics at orders N and N / 2, any equal shapes."""
    return 2 * np.asarray(large, float) - np.asarray(small, float)


def mean_p_value(draws: ArrayLike, expected: ArrayLike) -> float:
    """The p-value of "the mean of `draws` (n, k) is `expected` (k,)", n > k; 1 draw a row.

    Exact for Gaussian draws. Where all draws are equal there is no scale: nan.
    """
    x, mu = np.asarray(draws, float), np.asarray(expected, float)
    n, k = x.shape
    if n <= k:
        raise ValueError(f"mean_p_value: {n} draws of {k} numbers; more draws than numbers needed")
    covariance = np.atleast_2d(np.cov(x, rowvar=False))
    if not np.all(np.diag(covariance) > 0):
        return float("nan")
    difference = x.mean(0) - mu
    statistic = n * difference @ np.linalg.solve(covariance, difference)
    return float(f_distribution.sf(statistic * (n - k) / (k * (n - 1)), k, n - k))


def green_function(eigenvalues: ArrayLike, z: ArrayLike) -> Array:
    """Real and imaginary parts (..., 2 k) of mean 1 / (z - eigenvalue), for z (k,)."""
    x = np.asarray(eigenvalues, float)
    g = np.mean(1 / (np.asarray(z)[:, None] - x[..., None, :]), axis=-1)
    return np.concatenate([g.real, g.imag], axis=-1)
