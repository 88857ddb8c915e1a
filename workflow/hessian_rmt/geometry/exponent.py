"""index ~ a (energy / c - 1)^p: the exponent of `geometry` (20), (31), fitted free.

As one would fit measured points: a, c and p together, by least squares of relative deviations. The
interval is Student's, from the scatter about the fitted power law: on an exact curve that is
the law's curvature inside the window, so it says how well a power describes the window, and the
approach to 3/2 is read off windows that shrink.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import curve_fit
from scipy.stats import t as student

from hessian_rmt.rmt.law import Array


@dataclass(frozen=True)
class ExponentFit:
    """`exponent` p with its 95 % `interval`; `critical_energy` c in the units of the energies."""

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
