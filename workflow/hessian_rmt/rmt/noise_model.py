"""Is the noise N = H_batch - H_true of batch Hessians s(b) X with one law (`universality` 2.7)?

With tr the normalised trace, N' an independent copy of N (in fact of its part on a fixed subspace,
`curvature.noise`, to which all of this applies) and moments m_k = tr N^k:

    c_2 = E tr N^2,  c_3 = E tr N^3,  c_4 = E tr N^4 - 2 E tr N^2 N'^2 - E tr N N' N N'

are the joint cumulants of N's entries, contracted along a cycle. N is the mean of b independent
centred matrices and cumulants are additive, so c_k = b^(1-k) c_k(one example), exactly; c_2 is the
squared Frobenius norm. The model needs c_k = s(b)^k c_k(X), b^(-k/2) where c_2 goes as 1/b: it can
hold for the third and fourth only as far as these are zero. The operator norm is free of such an
identity.

The free cumulants of N's spectrum,

    k_2 = m_2 - m_1^2,  k_3 = m_3 - 3 m_2 m_1 + 2 m_1^3,
    k_4 = m_4 - 4 m_3 m_1 - 2 m_2^2 + 10 m_2 m_1^2 - 5 m_1^4,

tell its shape: under the model k_3 / k_2^(3/2) and k_4 / k_2^2 do not depend on b. Under averaging
the first goes as b^(-1/2), while the second tends to a constant, 0 only if the examples' matrices
are free: k_4 of the spectrum cannot tell the two apart, c_4 can.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import curve_fit
from scipy.special import stdtrit

from hessian_rmt.rmt.law import Array

CUMULANTS = ("second", "third", "fourth")


@dataclass(frozen=True)
class PowerLaw:
    """y = amplitude b^slope, with the 95 % interval of the slope; nan where y is not resolved."""

    slope: float
    low: float
    high: float
    amplitude: float

    def predict(self, batch_sizes: ArrayLike) -> Array:
        return self.amplitude * np.asarray(batch_sizes, float) ** self.slope


def power_law(batch_sizes: ArrayLike, means: ArrayLike, errors: ArrayLike) -> PowerLaw:
    """Weighted least squares of the means (B,) themselves, of either sign.

    Points within their errors of 0 count as what they are, which a fit to logarithms could not do.
    Errors (B,) from a few matrices are uncertain by themselves, so a power law through them gives
    the weights. High powers of the noise are skewed, their means dominated by rare batches: so the
    interval is Student's with B - 2 degrees of freedom, and wider by the root of chi-squared per
    degree of freedom where that exceeds one.
    """
    b, y, e = (np.asarray(a, float) for a in (batch_sizes, means, errors))
    unit = np.exp(np.log(b).mean())
    x = np.log(b / unit)
    sigma = np.exp(np.polynomial.Polynomial.fit(x, np.log(e), 1)(x))
    sign = 1.0 if np.sum(y / sigma) >= 0 else -1.0
    start = (np.log(np.max(sign * y)), float(np.polyfit(x, np.log(sigma), 1)[0]))
    try:
        (log_height, slope), covariance = curve_fit(
            lambda x, log_height, slope: sign * np.exp(log_height + slope * x),
            x,
            y,
            start,
            sigma=sigma,
            absolute_sigma=True,
        )
    except RuntimeError:  # no power law fits better than zero
        return PowerLaw(*(float("nan"),) * 4)
    residuals = (y - sign * np.exp(log_height + slope * x)) / sigma
    scale = max(1.0, float(np.sum(residuals**2)) / (len(b) - 2))
    reach = float(stdtrit(len(b) - 2, 0.975) * np.sqrt(scale * covariance[1, 1]))
    amplitude = float(sign * np.exp(log_height) * unit**-slope)
    return PowerLaw(float(slope), float(slope - reach), float(slope + reach), amplitude)


def entry_cumulants(powers: Array, pair_aabb: Array, pair_abab: Array) -> tuple[Array, Array]:
    """c_2, c_3, c_4 (..., 3) and their jackknife errors.

    powers: (..., S, 4) traces tr N^k of S independent matrices; pair_aabb, pair_abab: (..., S)
    tr N_s^2 N_t^2 and tr N_s N_t N_s N_t for t = s + 1, cyclically. Without matrix s two pairs go.
    """

    def estimate(kept: np.ndarray, pairs: np.ndarray) -> Array:
        moments = powers[..., kept, 1:].mean(-2)
        mixed = 2 * pair_aabb[..., pairs].mean(-1) + pair_abab[..., pairs].mean(-1)
        return np.stack([moments[..., 0], moments[..., 1], moments[..., 2] - mixed], axis=-1)

    seeds = np.arange(powers.shape[-2])
    n = len(seeds)
    without = np.stack([estimate(seeds != s, (seeds != s) & ((seeds + 1) % n != s)) for s in seeds])
    errors = np.sqrt((n - 1) * np.mean((without - without.mean(0)) ** 2, axis=0))
    return estimate(seeds >= 0, seeds >= 0), errors


def free_cumulants(powers: Array) -> Array:
    """k_1 ... k_4 (..., 4) of spectra with the moments `powers` (..., 4)."""
    m1, m2, m3, m4 = np.moveaxis(np.asarray(powers, float), -1, 0)
    k3 = m3 - 3 * m2 * m1 + 2 * m1**3
    k4 = m4 - 4 * m3 * m1 - 2 * m2**2 + 10 * m2 * m1**2 - 5 * m1**4
    return np.stack([m1, m2 - m1**2, k3, k4], axis=-1)


def noise_scaling(table: Mapping[str, Any]) -> dict[str, Any]:
    """Norm, cumulants and shape against b, of a noise file (`curvature.noise`).

    Returns batch_size (B,) and for each quantity Q of norm, second, third, fourth (cumulants c_k),
    skewness and excess (of free cumulants), first and square (tr N and tr N^2 on all dimensions),
    share (of the latter, on the subspace): Q/mean and Q/error (B,), and but for first and share
    Q/slope (3,), with its interval, and Q/amplitude.
    """
    b, powers = table["batch_size"], table["powers"]
    norms = np.abs(table["extremes"]).max(-1)
    means, errors = entry_cumulants(powers, table["pair_aabb"], table["pair_abab"])
    k = free_cumulants(powers)
    skewness, excess = k[..., 2] / k[..., 1] ** 1.5, k[..., 3] / k[..., 1] ** 2
    measured = {name: (means[:, i], errors[:, i]) for i, name in enumerate(CUMULANTS)}
    for name, values in (
        ("norm", norms),
        ("first", table["trace"]),
        ("square", table["square"]),
        ("share", _share(table)),
        ("skewness", skewness),
        ("excess", excess),
    ):
        measured[name] = (values.mean(1), values.std(1, ddof=1) / np.sqrt(values.shape[1]))
    statistics: dict[str, Any] = {"batch_size": b}
    for name, (mean, error) in measured.items():
        statistics |= {f"{name}/mean": mean, f"{name}/error": error}
        if name in ("first", "share"):
            continue
        law = power_law(b, mean, error)
        statistics |= {
            f"{name}/slope": np.array([law.slope, law.low, law.high]),
            f"{name}/amplitude": law.amplitude,
        }
    return statistics


def _share(table: Mapping[str, Any]) -> Array:
    """The part of N's squared Frobenius norm that lies on the subspace."""
    inside = float(table["subspace"]) * table["powers"][..., 1]
    return inside / (float(table["dimension"]) * table["square"])


def measured_against_fitted(
    table: Mapping[str, Any], fits: Mapping[str, Any], epoch: int
) -> dict[str, Any]:
    """H_true's outliers and the noise's first moment beside those that (2.33) was fitted with.

    fits: statistics of the outlier model (`rmt.outlier_statistics`). Returns theta/measured,
    theta/fitted (k,), theta/interval (k, 2), alpha/fitted, alpha/interval (2,), exponent/fitted,
    exponent/interval (2,); alpha is 0 in truth, since A = E H_batch.
    """
    at = int(np.flatnonzero(np.asarray(fits["epoch"]) == epoch)[0])
    theta = fits["full/theta"][at]
    comparison = {
        "theta/measured": table["true_eigenvalues"][::-1][: len(theta)],
        "theta/fitted": theta,
        "theta/interval": fits["full/intervals/theta"][at],
    }
    for name in ("alpha", "exponent"):
        comparison[f"{name}/fitted"] = fits[f"full/{name}"][at]
        comparison[f"{name}/interval"] = fits[f"full/intervals/{name}"][at]
    return comparison
