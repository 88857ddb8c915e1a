"""index ~ a (energy / c - 1)^p: the exponent of `geometry` (20), (31), fitted free.

`fit_exponent` fits a, c and p together, as one would fit measured points, by least squares of
relative deviations. On an exact curve the scatter about the power law is the curve's own bend
inside the window, so its interval says how well a power describes the window, not where p tends.
`limiting_exponent` takes the bend into account, log index = log a + p log t + b_1 t + b_2 t^2 with
t = energy / c - 1 and the exact c.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import curve_fit
from scipy.stats import t as student

from hessian_rmt.rmt.law import Array


@dataclass(frozen=True)
class ExponentFit:
    """p with its 95 % `interval`, Student's from the residuals; a; c."""

    exponent: float
    interval: tuple[float, float]
    prefactor: float
    critical_energy: float


def fit_exponent(energy: Array, index: Array, *, critical_energy: float) -> ExponentFit:
    """Fit to `index` > 0 at `energy` (n,), n > 3; `critical_energy` is where c starts.

    Raises ValueError for fewer points, or where the index is not positive.
    """
    if len(energy) < 4 or not np.all(index > 0):
        raise ValueError("fit_exponent: needs four points or more with a positive index")
    log_index, closest = np.log(index), float(np.min(energy))
    scale = closest - critical_energy

    def log_power(x: Array, log_a: float, log_gap: float, p: float) -> Array:
        c = closest - scale * np.exp(log_gap)  # stays below every energy
        return log_a + p * np.log(x / c - 1)

    start = (log_index[-1] - 1.5 * np.log(energy[-1] / critical_energy - 1), 0.0, 1.5)
    found, covariance = curve_fit(log_power, energy, log_index, start, xtol=1e-14, ftol=1e-14)
    width = student.ppf(0.975, len(energy) - 3) * covariance[2, 2] ** 0.5
    log_a, log_gap, p = (float(value) for value in found)
    c = closest - scale * float(np.exp(log_gap))
    return ExponentFit(p, (p - width, p + width), float(np.exp(log_a)), c)


def limiting_exponent(distance: Array, index: Array) -> tuple[float, tuple[float, float]]:
    """p and an interval from the exact `index` > 0 at `distance` t > 0, both (n,) with n > 4.

    The interval is symmetric, as wide as what p moves by when b_2 is left out: the error is that of
    cutting the series, not noise. Raises ValueError.
    """
    if len(distance) < 5 or not np.all(index > 0):
        raise ValueError("limiting_exponent: needs five points or more with a positive index")
    t = np.asarray(distance, float)
    design = np.stack([np.log(t), np.ones_like(t), t, t**2], axis=1)
    p, shorter = (
        float(np.linalg.lstsq(design[:, :terms], np.log(index))[0][0]) for terms in (4, 3)
    )
    width = abs(p - shorter)
    return p, (p - width, p + width)
