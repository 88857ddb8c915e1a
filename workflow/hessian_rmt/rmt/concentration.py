"""Preconditioned gradients B^-1 g, B = H + delta, and how fast they become deterministic.

With H positive semi-definite of order N, limiting law mu and m(delta) = int dmu(x) / (x + delta),
`universality` (5.9) bounds a fixed bilinear form of the resolvent, and (5.16) the eigenvalues, by

    |u . B^-1 v - m u . v| < N^xi |u| |v| / (N delta),
    |lambda_j - q_j| < N^xi min(j, N - j + 1)^(-1/3) N^(-2/3),    mu((-inf, q_j]) = j / N.

1 / (N delta) is the rate of tr B^-1 / N. A bilinear form fluctuates more: for eigenvectors
from the Haar measure its variance is (m_2 - m^2) / N if u . v = 0 and twice that for u = v,
with m_2 = int dmu(x) / (x + delta)^2. At a hard edge (as many columns as rows) m_2 ~ delta^(-3/2),
so the error is N^(-1/2) delta^(-3/4); with a gap below the spectrum it stays bounded as delta -> 0.

Independent diagonal entries from mu are the control: their bilinear form does not concentrate, the
trace does as N^(-1/2), and (5.16) is off by a power of N.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hessian_rmt.rmt.ensembles import diagonal, uniform_wishart, wishart, wishart_law
from hessian_rmt.rmt.law import Array, Law
from hessian_rmt.seeds import derive_seed

FORMS = 6  # coordinates u, v; all pairs of them
REPLICATES = 400  # of the bootstrap
QUANTITIES = ("trace", "bilinear", "eigenvalue")


@dataclass(frozen=True)
class Sampled:
    """sample(n, rng) -> (n, n); law(n); hard_edge: whether the law reaches 0."""

    sample: Callable[[int, np.random.Generator], Array]
    law: Callable[[int], Law]
    hard_edge: bool = False


SAMPLED = {
    "Wishart, square": Sampled(
        lambda n, rng: wishart(n, rng, ratio=1.0), lambda n: wishart_law(n, 1.0), hard_edge=True
    ),
    "Wishart, 1 to 2": Sampled(wishart, wishart_law),
    "uniform Wishart, square": Sampled(
        lambda n, rng: uniform_wishart(n, rng, ratio=1.0, centred=True),
        lambda n: wishart_law(n, 1.0),
        hard_edge=True,
    ),
    "independent diagonal": Sampled(
        lambda n, rng: diagonal(n, rng, law=wishart_law(n)), wishart_law
    ),
}


def concentration(
    sizes: Sequence[int], samples: int, damping: Sequence[float], seed: int
) -> dict[str, Any]:
    """Errors of all ensembles E, and the exponents fitted to them; N sizes, M samples, D dampings.

    Returns size, damping and for each ensemble E/hard_edge; E/trace, E/bilinear and E/eigenvalue
    (N, M, D): squared errors of the trace, of bilinear forms (mean over pairs of `FORMS`
    coordinates), and the largest squared error of 1 / (lambda_j + delta) ((5.15)); E/rigidity
    (N, M), the largest of |lambda_j - q_j| over its rate in (5.16); E/predicted (N, D), the
    bilinear form's root mean square for Haar eigenvectors. For each Q of trace, bilinear,
    eigenvalue E/exponents/Q (2, 3), of N and of delta with 95 % bootstrap intervals, and
    E/exponents/rigidity (3,).
    """
    delta = np.asarray(damping, float)
    statistics: dict[str, Any] = {"size": np.array(sizes), "damping": delta}
    for name, ensemble in SAMPLED.items():
        errors = {key: np.empty((len(sizes), samples, len(delta))) for key in QUANTITIES}
        rigidity = np.empty((len(sizes), samples))
        predicted = np.empty((len(sizes), len(delta)))
        for i, n in enumerate(sizes):
            law = ensemble.law(n)
            m, m2 = resolvent_moments(law, delta)
            pairs = FORMS * (FORMS + 1) / 2
            # u = v has twice the variance of orthogonal u, v
            predicted[i] = np.sqrt((pairs + FORMS) / pairs * (m2 - m**2) / n)
            quantiles = law.quantile(np.arange(1, n + 1) / n)
            for k in range(samples):
                rng = np.random.default_rng(derive_seed(seed, "concentration", name, n, k))
                values, vectors = np.linalg.eigh(ensemble.sample(n, rng))
                measured = _errors(values, vectors, delta, m, quantiles)
                for key in QUANTITIES:
                    errors[key][i, k] = measured[key]
                rigidity[i, k] = rigidity_ratio(values, quantiles)
        rng = np.random.default_rng(derive_seed(seed, "concentration", name))
        statistics |= {
            f"{name}/hard_edge": ensemble.hard_edge,
            f"{name}/rigidity": rigidity,
            f"{name}/predicted": predicted,
            f"{name}/exponents/rigidity": exponents(sizes, None, rigidity[..., None] ** 2, rng)[0],
        }
        for key in QUANTITIES:
            statistics[f"{name}/{key}"] = errors[key]
            statistics[f"{name}/exponents/{key}"] = exponents(sizes, delta, errors[key], rng)
    return statistics


def resolvent_moments(law: Law, damping: Array) -> tuple[Array, Array]:
    """m = int dmu(x) / (x + delta) and m_2 = int dmu(x) / (x + delta)^2 at delta > 0."""
    step = 1e-30  # a complex step loses no digits to a difference
    g = law.stieltjes(-damping + 1j * step * damping)
    return -g.real, -g.imag / (step * damping)


def rigidity_ratio(values: Array, quantiles: Array) -> float:
    """The largest of |lambda_j - q_j| min(j, N - j + 1)^(1/3) N^(2/3), (5.16)."""
    n = len(values)
    j = np.arange(1, n + 1)
    rate = np.minimum(j, n - j + 1) ** (-1 / 3) * n ** (-2 / 3)
    return float(np.max(np.abs(values - quantiles) / rate))


def exponents(
    sizes: Sequence[int], damping: Array | None, squares: Array, rng: np.random.Generator
) -> Array:
    """p and q of error ~ N^p delta^q, (2, 3) with the 2.5 and 97.5 percentiles of a bootstrap.

    squares: (N, M, D) squared errors; root mean squares over the M samples are fitted on a log
    scale, the samples of a size resampled together for all delta. One delta: q is nan.
    """
    log_n = np.log(np.asarray(sizes, float))
    shape = (squares.shape[0], squares.shape[2])
    columns = [np.ones(shape), np.broadcast_to(log_n[:, None], shape)]
    if damping is not None:
        columns.append(np.broadcast_to(np.log(damping), shape))
    inverse = np.linalg.pinv(np.stack([c.ravel() for c in columns], axis=1))

    def fit(rms: Array) -> Array:
        found = inverse @ np.log(rms).ravel()
        return np.append(found[1:], np.full(3 - len(found), np.nan))

    samples = squares.shape[1]
    replicates = []
    for _ in range(REPLICATES):
        drawn = rng.integers(samples, size=squares.shape[:2])
        resampled = np.take_along_axis(squares, drawn[..., None], axis=1)
        replicates.append(fit(np.sqrt(resampled.mean(1))))
    low, high = np.percentile(replicates, [2.5, 97.5], axis=0)
    return np.stack([fit(np.sqrt(squares.mean(1))), low, high], axis=1)


def _errors(
    values: Array, vectors: Array, damping: Array, m: Array, quantiles: Array
) -> dict[str, Array]:
    inverse = 1 / (values + damping[:, None])
    u = vectors[:FORMS]
    forms = np.einsum("iv,dv,jv->dij", u, inverse, u) - m[:, None, None] * np.eye(FORMS)
    upper = np.triu_indices(FORMS)
    worst = np.abs(inverse - 1 / (quantiles + damping[:, None])).max(1)
    return {
        "trace": (inverse.mean(1) - m) ** 2,
        "bilinear": (forms[:, upper[0], upper[1]] ** 2).mean(1),
        "eigenvalue": worst**2,
    }
