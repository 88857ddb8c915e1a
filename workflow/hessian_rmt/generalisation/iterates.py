"""What theorem 8.2 of `applicability` assumes, and its bound (19), on measured iterates.

By (16), for a stationary kernel and d = |w - w'|, the covariance of gradients has the trace

    P^-1 Tr Cov(g(w), g(w')) = k'(-d^2 / 2) - d^2 k''(-d^2 / 2) / P = f(d):

a function of the distance alone, the same at all iterates for d = 0, and small for the distances
between most of them. Whether it is one is tested with the squared-exponential kernel,

    k'(-d^2 / 2) = v exp(-d^2 / (2 l^2)),    k'' = k' / l^2,

fitted to the measured covariances. For the mean of T gradients, (19) then reads, with A_i the
identity,

    P^-1 Tr Cov(g_avg) <= v / T + (2 / T^2) sum_{i < j} f(d_ij).

a = 1 is the operator norm of A_i, which is what the proof uses; with the trace norm, as printed, a
is P and the bound P^2 times this. Beside it stand the measured left-hand side, the mean of all T^2
covariances, and what independent gradients would give.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from hessian_rmt.generalisation.decay_fits import Array

_LENGTHS = 400
_BOOTSTRAP = 200
COLUMNS = (
    "arm",
    "replicate",
    "mean_correlation",
    "variance_last_over_first",
    "length",
    "length_low",
    "length_high",
    "kernel_p_value",
    "iterates",
    "measured_over_independent",
    "bound_over_independent",
)


def covariance_trace(distance: Array, variance: float, length: Array, parameters: int) -> Array:
    """f(d) of the squared-exponential kernel; `distance` and `length` broadcast."""
    ratio = (distance / length) ** 2
    return variance * np.exp(-ratio / 2) * (1 - ratio / parameters)


def fit_kernel(distance: Array, covariance: Array, parameters: int) -> tuple[float, float]:
    """v and l of the squared-exponential kernel, by least squares over pairs (n,)."""
    apart = distance[distance > 0]
    lengths = np.geomspace(apart.min() / 10, apart.max() * 100, _LENGTHS)
    shape = covariance_trace(distance, 1.0, lengths[:, None], parameters)
    variances = shape @ covariance / np.sum(shape**2, axis=1)
    rss = np.sum((covariance - variances[:, None] * shape) ** 2, axis=1)
    best = int(np.argmin(rss))
    return float(variances[best]), float(lengths[best])


def kernel_p_value(distance: Array, blocks: Array, parameters: int) -> float:
    """Hotelling's test of the kernel's form: mean covariances of pairs (K, n) against the best fit.

    nan with too few blocks K for the covariance of n means.
    """
    count, n = blocks.shape
    freedom = n - 2, count - n + 2
    if freedom[1] < 2 or freedom[0] < 1:
        return float("nan")
    mean = blocks.mean(0)
    root = np.linalg.cholesky(np.cov(blocks.T) / count)
    white = np.linalg.solve(root, mean)
    apart = distance[distance > 0]
    lengths = np.geomspace(apart.min() / 10, apart.max() * 100, _LENGTHS)
    shape = np.linalg.solve(root, covariance_trace(distance, 1.0, lengths[:, None], parameters).T)
    variances = white @ shape / np.sum(shape**2, axis=0)
    least = float(np.min(np.sum((white[:, None] - variances * shape) ** 2, axis=0)))
    return float(stats.f.sf(least * freedom[1] / (freedom[0] * (count - 1)), *freedom))


def iterate_statistics(table: Mapping[str, Any], *, seed: int) -> dict[str, Any]:
    """Of one run, its initialisation left out: E iterates, T = 1 .. E of the last of them.

    Returns epoch (E,), distance (E, E), covariance (E, E) with its 95 % interval over blocks
    (E, E, 2), parameters; variance and length of the kernel, length_interval (2,), kernel_p_value;
    measured, bound and independent (E,), the terms of (19) for T = 1 .. E.
    """
    keep = np.asarray(table["epoch"]) > 0
    distance = table["distance"][np.ix_(keep, keep)]
    blocks = table["covariance"][:, keep][:, :, keep]
    count, parameters = len(blocks), int(table["parameters"])
    upper = np.triu_indices(len(distance))
    pairs, d = blocks[:, upper[0], upper[1]], distance[upper]
    mean = blocks.mean(0)
    half = stats.t.ppf(0.975, count - 1) * blocks.std(0, ddof=1) / np.sqrt(count)
    variance, length = fit_kernel(d, pairs.mean(0), parameters)
    rng = np.random.default_rng(seed)
    lengths = [
        fit_kernel(d, pairs[rng.integers(count, size=count)].mean(0), parameters)[1]
        for _ in range(_BOOTSTRAP)
    ]
    f = covariance_trace(distance, variance, np.array(length), parameters)
    tails = [slice(len(distance) - t, None) for t in range(1, len(distance) + 1)]
    return {
        "epoch": np.asarray(table["epoch"])[keep],
        "parameters": parameters,
        "distance": distance,
        "covariance": mean,
        "interval": np.stack([mean - half, mean + half], axis=-1),
        "variance": variance,
        "length": length,
        "length_interval": np.percentile(lengths, [2.5, 97.5]),
        "kernel_p_value": kernel_p_value(d, pairs, parameters),
        "measured": np.array([mean[tail, tail].mean() for tail in tails]),
        "bound": np.array([f[tail, tail].mean() for tail in tails]),
        "independent": np.array(
            [np.diag(mean)[tail].mean() / (t + 1) for t, tail in enumerate(tails)]
        ),
    }


def correlations(statistics: Mapping[str, Any]) -> Array:
    """The measured covariances over the geometric means of the two variances, (E, E)."""
    deviation = np.sqrt(np.diag(statistics["covariance"]))
    return statistics["covariance"] / np.outer(deviation, deviation)


def summary_rows(arms: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[list[Any]]:
    """A row of `COLUMNS` for each arm and replicate."""
    rows = []
    for arm, replicates in arms.items():
        for index, of_run in enumerate(replicates):
            apart = correlations(of_run)[np.triu_indices(len(of_run["epoch"]), 1)]
            trace = np.diag(of_run["covariance"])
            low, high = of_run["length_interval"]
            head = [arm, index, apart.mean(), trace[-1] / trace[0], of_run["length"], low, high]
            ratios = [of_run[key][-1] / of_run["independent"][-1] for key in ("measured", "bound")]
            rows.append([*head, of_run["kernel_p_value"], len(trace), *ratios])
    return rows
