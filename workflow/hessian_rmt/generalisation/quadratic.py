"""Theorem 8.1 of `applicability`: the last iterate and the average on a noisy quadratic.

Descent on 1/2 sum_i lambda_i w_i^2 with independent noise, w <- w - alpha (lambda w + e), e of
variance sigma^2 / B per coordinate. With rho = 1 - alpha lambda, exactly and per coordinate,

    last iterate   mean w_0 rho^n,                        variance alpha sigma^2 (1 - rho^(2 n)) /
                                                                   (B lambda (2 - alpha lambda))
    average of     mean w_0 rho (1 - rho^n) / (n alpha    variance sigma^2 / (B lambda^2 n^2)
    n iterates             lambda),                                sum_{m=1..n} (1 - rho^m)^2.

For large n the average's total variance is P sigma^2 / (B n) <lambda^-2>: without the factor alpha
that (18) has in print. The two differ in how the variance depends on alpha, as alpha^0 or alpha^1.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from hessian_rmt.generalisation.decay_fits import Array
from hessian_rmt.seeds import derive_seed

NOISE = 1.0  # sigma^2 / B
SMALLEST, LARGEST = 0.1, 1.0  # eigenvalues, evenly spaced on a log scale
START = 1.0  # every coordinate of w_0
FORMS = ("exact", "corrected", "printed")


def eigenvalues(dimension: int) -> Array:
    """lambda (P,)."""
    return np.geomspace(SMALLEST, LARGEST, dimension) if dimension > 1 else np.ones(1)


def variance_of_average(lam: Array, alpha: float, n: int, form: str) -> float:
    """Tr Cov of the average of n iterates: exactly, for large n corrected, or as in print."""
    if form == "exact":
        powers = (1 - alpha * lam[:, None]) ** np.arange(1, n + 1)
        return float(NOISE / n**2 * np.sum(np.sum((1 - powers) ** 2, axis=1) / lam**2))
    return float(NOISE / n * np.sum(lam**-2.0)) * (alpha if form == "printed" else 1.0)


def variance_of_iterate(lam: Array, alpha: float, n: int) -> float:
    """Tr Cov of the n-th iterate."""
    stationary = alpha * NOISE / (lam * (2 - alpha * lam))
    return float(np.sum(stationary * (1 - (1 - alpha * lam) ** (2 * n))))


def descend(
    lam: Array, alpha: float, steps: Sequence[int], samples: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Iterates and averages at each number of steps, (len(steps), samples, P)."""
    w = np.full((samples, len(lam)), START)
    total, kept = np.zeros_like(w), {}
    for n in range(1, max(steps) + 1):
        noise = np.sqrt(NOISE) * rng.standard_normal(w.shape)
        w = w - alpha * (lam * w + noise)
        total += w
        if n in steps:
            kept[n] = w, total / n
    return np.stack([kept[n][0] for n in steps]), np.stack([kept[n][1] for n in steps])


def quadratic_statistics(
    *,
    dimension: int,
    steps: Sequence[int],
    learning_rates: Sequence[float],
    samples: int,
    seed: int,
) -> dict[str, Any]:
    """Measured variances over `samples` descents S beside the theory's, for A rates and N steps.

    Returns eigenvalue (P,), learning_rate (A,), steps (N,); for Q of iterate and average
    Q/variance (A, N), its 95 % interval Q/interval (A, N, 2) and Q/exact (A, N); average/corrected
    and average/printed (A, N). At the most steps: F/p_value for each F of `FORMS`, a test of the
    average's variances at all rates together, and the exponent of alpha (3,) with its interval,
    which is 0 corrected and 1 in print (`exact_exponent` for finite n).
    """
    lam, alphas = eigenvalues(dimension), np.asarray(learning_rates, float)
    shape = (len(alphas), len(steps))
    measured = {name: np.empty(shape) for name in ("iterate", "average")}
    errors = {name: np.empty(shape) for name in measured}
    for i, alpha in enumerate(alphas):
        rng = np.random.default_rng(derive_seed(seed, "quadratic", i))
        for name, w in zip(measured, descend(lam, alpha, steps, samples, rng), strict=True):
            squares = np.sum((w - w.mean(1, keepdims=True)) ** 2, axis=2) * samples / (samples - 1)
            measured[name][i] = squares.mean(1)
            errors[name][i] = squares.std(1, ddof=1) / np.sqrt(samples)
    theory = {
        form: np.array([[variance_of_average(lam, a, n, form) for n in steps] for a in alphas])
        for form in FORMS
    }
    exact = {
        "average": theory["exact"],
        "iterate": np.array([[variance_of_iterate(lam, a, n) for n in steps] for a in alphas]),
    }
    statistics: dict[str, Any] = {
        "eigenvalue": lam,
        "learning_rate": alphas,
        "steps": np.array(steps),
        "average/corrected": theory["corrected"],
        "average/printed": theory["printed"],
    }
    z = stats.norm.ppf(0.975)
    for name, variance in measured.items():
        around = variance[..., None] + z * np.array([-1, 1]) * errors[name][..., None]
        statistics |= {f"{name}/variance": variance, f"{name}/interval": around}
        statistics[f"{name}/exact"] = exact[name]
    last, last_error = measured["average"][:, -1], errors["average"][:, -1]
    for form in FORMS:
        chi = np.sum(((last - theory[form][:, -1]) / last_error) ** 2)
        statistics[f"{form}/p_value"] = float(stats.chi2.sf(chi, len(alphas)))
    statistics["exponent"] = _exponent(alphas, last, last_error)
    statistics["exact_exponent"] = _exponent(alphas, exact["average"][:, -1], last_error)[0]
    return statistics


def _exponent(alphas: Array, variance: Array, error: Array) -> Array:
    """The slope of log variance on log alpha, (3,) with its 95 % interval, by weighted least
    squares."""
    weight, x = (variance / error) ** 2, np.log(alphas)
    centred = x - np.average(x, weights=weight)
    slope = np.sum(weight * centred * np.log(variance)) / np.sum(weight * centred**2)
    half = stats.norm.ppf(0.975) / np.sqrt(np.sum(weight * centred**2))
    return np.array([slope, slope - half, slope + half])
