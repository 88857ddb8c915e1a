"""Fits of decays with an asymptote, y = a + b exp(c x), and what speaks for one law over another.

    exponential   a + b exp(c t)      c < 0    (the law of `applicability` figure 8)
    power         a + b t^c           c < 0    (the same with x = log t)
    line          a + b t                      (the limit c -> 0 of the first)

Given c the law is linear in a and b, so the sum of squares S(c), minimised over them, is a function
of one variable. Errors are independent and normal with one unknown variance. A parameter's interval
holds the values v with

    min over the others of S  <=  S_min (1 + F / (n - 3)),    F the quantile of F(1, n - 3):

the likelihood ratio's, which needs no linearisation and is infinite where the data do not bound it.
Laws are compared by Akaike's criterion, corrected for small samples (AICc), and by a bootstrap: how
often data simulated from the one prefer the other as much as the data do.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import minimize_scalar

Array = NDArray[np.float64]

LAWS = ("exponential", "power", "line")
PARAMETERS = {"exponential": 3, "power": 3, "line": 2}
_GRID = 3000
_SLOWEST, _FASTEST = 1e-3, 25.0  # of c (x_last - x_first), and of c times the first step in x


@dataclass(frozen=True)
class DecayFit:
    """parameters: (3,) a, b, c (c is nan for the line); intervals: (3, 2).

    All are nan where the values lie at fewer than four places.
    """

    law: str
    parameters: Array
    intervals: Array
    rss: float
    aicc: float
    count: int

    def __call__(self, t: Array) -> Array:
        a, b, c = self.parameters
        return a + b * (np.asarray(t) if self.law == "line" else np.exp(c * _axis(t, self.law)))


def fit_decay(t: Array, y: Array, law: str, *, level: float = 0.95) -> DecayFit:
    """The least-squares fit of a law to y (n,) at t (n,) > 0, of six values or more.

    level: of the intervals. Raises ValueError for fewer values.
    """
    t, y = np.asarray(t, float), np.asarray(y, float)
    if len(y) < 6:
        raise ValueError(f"fits of three parameters need 6 values or more, not {len(y)}")
    if len(np.unique(t)) < 4:
        return DecayFit(law, np.full(3, np.nan), np.full((3, 2), np.nan), np.nan, np.nan, len(y))
    if law == "line":
        return _fit_line(t, y, level)
    x = _axis(t, law)
    start, width = x.min(), np.ptp(x)
    u = (x - start) / width
    rates = _rates(u)
    rss = _profile(u, y, rates)[0]
    near = np.clip(np.argmin(rss) + np.array([-1, 1]), 0, len(rates) - 1)
    best = minimize_scalar(
        lambda log_rate: float(_profile(u, y, np.exp([log_rate]))[0][0]),
        bounds=np.log(rates[near]),
        method="bounded",
        options={"xatol": 1e-10},
    )
    rate = float(np.exp(best.x))
    (least,), (a,), (b,), *_ = _profile(u, y, np.array([rate]))
    # b exp(-rate u) = b exp(rate start / width) exp(c x) with c = -rate / width
    found = np.array([a, b * np.exp(rate * start / width), -rate / width])
    intervals = _intervals(u, y, rates, least, level, start / width, width)
    aicc = float(_aicc(least, len(y), 3))
    return DecayFit(law, found, intervals, float(least), aicc, len(y))


def compare(
    t: Array, y: Array, null: str, other: str, rng: np.random.Generator, *, replicates: int
) -> tuple[float, float]:
    """AICc of `null` minus that of `other`, and a p-value for `null`.

    The p-value is the share of data sets, simulated from the fit of `null` with normal errors of
    its residual variance, whose difference is as large. Both are nan where no fit is defined.
    """
    t, y = np.asarray(t, float), np.asarray(y, float)
    fit = fit_decay(t, y, null)
    if np.isnan(fit.rss):
        return np.nan, np.nan
    deviation = np.sqrt(fit.rss / (len(y) - PARAMETERS[null]))
    simulated = fit(t) + deviation * rng.standard_normal((replicates, len(y)))
    differences = _least(t, np.vstack([y, simulated]), null, other)
    p_value = (1 + np.sum(differences[1:] >= differences[0])) / (replicates + 1)
    return float(differences[0]), float(p_value)


def lack_of_fit(groups: Array, y: Array, fit: DecayFit) -> float:
    """The p-value of a law against free means at each of the places `groups` (n,), an F test.

    Needs replicates; nan where there are none or no more places than parameters.
    """
    places = np.unique(groups)
    pure = sum(float(np.sum((y[groups == g] - y[groups == g].mean()) ** 2)) for g in places)
    freedom = len(places) - PARAMETERS[fit.law], len(y) - len(places)
    if min(freedom) < 1:
        return float("nan")
    rss = float(np.sum((y - fit(groups)) ** 2))
    return float(stats.f.sf((rss - pure) / freedom[0] / (pure / freedom[1]), *freedom))


def _axis(t: Array, law: str) -> Array:
    return np.log(t) if law == "power" else np.asarray(t, float)


def _rates(u: Array) -> Array:
    """Candidates for c (x_last - x_first): from a line to a step behind the first place."""
    step = np.unique(u)[1]
    return np.geomspace(_SLOWEST, _FASTEST / step, _GRID)


def _profile(u: Array, y: Array, rates: Array) -> tuple[Array, Array, Array, Array, Array]:
    """S(c), a, b, and the variances of a and b over that of the errors, for y (n,) or (R, n)."""
    phi = np.exp(-rates[:, None] * u)
    mean = phi.mean(1)
    phi = phi - mean[:, None]
    sxx = np.sum(phi**2, axis=1)
    centred = y - y.mean(-1, keepdims=True)
    b = centred @ phi.T / sxx
    # residuals, not a difference of large numbers, for one y; the bootstrap's errors are not small
    if y.ndim == 1:
        rss = np.sum((centred - b[:, None] * phi) ** 2, axis=1)
    else:
        rss = np.sum(centred**2, axis=1, keepdims=True) - b**2 * sxx
    a = y.mean(-1, keepdims=True) - b * mean
    return rss, a, b, 1 / len(u) + mean**2 / sxx, 1 / sxx


def _intervals(
    u: Array, y: Array, rates: Array, least: float, level: float, offset: float, width: float
) -> Array:
    """(3, 2) for a, b, c: hulls over all rates that the threshold admits."""
    rss, a, b, variance_a, variance_b = _profile(u, y, rates)
    freedom = len(y) - 3
    room = least * (1 + stats.f.ppf(level, 1, freedom) / freedom) - rss
    inside = np.flatnonzero(room >= 0)
    if len(inside) == 0:  # an exact fit between two candidates
        inside = np.array([np.argmin(rss)])
    first, last = max(inside[0] - 1, 0), min(inside[-1] + 1, len(rates) - 1)
    half_a, half_b = (np.sqrt(v * np.maximum(room, 0))[inside] for v in (variance_a, variance_b))
    scale = np.exp(np.minimum(rates[inside] * offset, 700))
    low_b, high_b = (b[inside] - half_b) * scale, (b[inside] + half_b) * scale
    bounds = np.array(
        [
            [np.min(a[inside] - half_a), np.max(a[inside] + half_a)],
            [np.min(low_b), np.max(high_b)],
            [-rates[last] / width, -rates[first] / width],
        ]
    )
    if inside[0] == 0:  # a line is not excluded: the asymptote may lie anywhere beyond
        sign = np.sign(b[inside[0]])
        bounds[0, 0 if sign > 0 else 1] = -sign * np.inf
        bounds[1, 1 if sign > 0 else 0] = sign * np.inf
        bounds[2, 1] = 0.0
    if inside[-1] == len(rates) - 1:  # nor is a step
        sign = np.sign(b[inside[-1]])
        bounds[1, 1 if sign > 0 else 0] = sign * np.inf
        bounds[2, 0] = -np.inf
    return bounds


def _fit_line(t: Array, y: Array, level: float) -> DecayFit:
    line = stats.linregress(t, y)
    found = np.array([line.intercept, line.slope, np.nan])
    half = stats.t.ppf((1 + level) / 2, len(y) - 2) * np.array(
        [line.intercept_stderr, line.stderr, np.nan]
    )
    rss = np.sum((y - line.intercept - line.slope * t) ** 2)
    intervals = np.stack([found - half, found + half], axis=1)
    return DecayFit("line", found, intervals, float(rss), float(_aicc(rss, len(y), 2)), len(y))


def _least(t: Array, y: Array, null: str, other: str) -> Array:
    """AICc of `null` minus that of `other` for each data set of y (R, n), on the grid of rates."""
    criteria = []
    for law in (null, other):
        x = _axis(t, law)
        u = (x - x.min()) / np.ptp(x)
        if law == "line":
            centred, v = y - y.mean(1, keepdims=True), u - u.mean()
            rss = np.sum(centred**2, axis=1) - (centred @ v) ** 2 / np.sum(v**2)
        else:
            rss = _profile(u, y, _rates(u)[::5])[0].min(1)
        criteria.append(_aicc(rss, len(t), PARAMETERS[law]))
    return criteria[0] - criteria[1]


def _aicc(rss: Array, count: int, parameters: int) -> Array:
    """n log(S / n) + 2 k + 2 k (k + 1) / (n - k - 1), the variance being one of k parameters."""
    k = parameters + 1
    return count * np.log(np.maximum(rss, 1e-300) / count) + 2 * k * (1 + (k + 1) / (count - k - 1))
