"""The averaged local law of an ensemble whose limiting law is not known (`universality` (2.39)).

    g(z) = (1/n) sum_j 1 / (z - lambda_j),   |g(z) - g_mu(z)| <= n^xi / (n eta),   z = E + i eta,

with g_mu the mean of g over the *other* matrices of the ensemble. E runs over quantiles, and eta is
counted in local mean spacings there. y = n eta |g - g_mu| is then free of scales: flat in eta under
the law, y ~ sqrt(eta) for independent levels (the control that must fail), and y ~ eta where the
density itself differs from matrix to matrix. The slope of log y against log eta is compared with
those of GOE levels of the same density.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hessian_rmt.rmt.law import Array
from hessian_rmt.rmt.local_tests import matched_goe
from hessian_rmt.rmt.spacings import smooth_staircase

QUANTILES = np.linspace(0.05, 0.95, 19)
WIDTHS = 2.0 ** np.arange(0, 7)  # eta in local mean spacings
HALF_WINDOW = 0.02  # of the distribution, over which a local spacing is taken


def green_function_error(spectra: Sequence[Array] | Array) -> Array:
    """Root mean square over matrices and E of y = n eta |g - g_mu|, for each of `WIDTHS`.

    spectra: three or more ascending spectra of one length n.
    """
    levels = np.asarray(spectra, float)
    n = levels.shape[1]
    mean = levels.mean(0)
    rank = (np.arange(n) + 0.5) / n
    energy = np.interp(QUANTILES, rank, mean)
    ends = (np.interp(QUANTILES + s * HALF_WINDOW, rank, mean) for s in (-1, 1))
    low, high = ends
    spacing = (high - low) / (2 * HALF_WINDOW * n)
    z = energy[:, None] + 1j * spacing[:, None] * WIDTHS
    g = np.array([(1 / (z[..., None] - x)).mean(-1) for x in levels])
    others = (g.sum(0) - g) / (len(g) - 1)
    y = n * z.imag * np.abs(g - others)
    return np.sqrt(np.mean(y**2, axis=(0, 1)))


def slope(error: Array) -> float:
    """Of log y against log eta."""
    return float(np.polyfit(np.log(WIDTHS), np.log(error), 1)[0])


def averaged_local_law(spectra: Array, *, replicates: int, seed: int) -> dict[str, Any]:
    """y, its slope and the p-value against GOE levels, with the control.

    spectra: (S, n). Returns width (W,), error (W,), slope, null_error (replicates, W), null_slope
    (replicates,), p_value (one-sided: a larger slope is worse), and control/{error, slope, p_value}
    of independent levels of the same density.
    """
    mean = np.sort(np.asarray(spectra, float), axis=1).mean(0)
    null = np.array(
        [
            green_function_error(levels)
            for levels in matched_goe([mean] * len(spectra), replicates, seed=seed)
        ]
    )
    slopes = np.array([slope(error) for error in null])
    rng = np.random.default_rng([seed, 2])
    _, quantile = smooth_staircase(mean, window=50)
    independent = np.sort(
        quantile(rng.uniform(0, mean.size, (len(spectra), mean.size)).ravel()).reshape(
            len(spectra), -1
        ),
        axis=1,
    )
    statistics: dict[str, Any] = {"width": WIDTHS, "null_error": null, "null_slope": slopes}
    for prefix, levels in (("", np.sort(spectra, axis=1)), ("control/", independent)):
        error = green_function_error(levels)
        above = int(np.sum(slopes >= slope(error)))
        statistics |= {
            f"{prefix}error": error,
            f"{prefix}slope": slope(error),
            f"{prefix}p_value": (1 + above) / (1 + replicates),
        }
    return statistics
