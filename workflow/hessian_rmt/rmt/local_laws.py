"""Laws of a spectrum on the scale of its mean spacing: GOE (bulk, P -> infinity) and Poisson.

The probability that an interval of length s holds no GOE eigenvalue is a Fredholm determinant on
(0, s/2), the sine kernel on even functions (Gaudin; quadrature after Bornemann, arXiv:0804.2543):

    E(s) = det(1 - A),  A(x, y) = S(x - y) + S(x + y),  S(x) = sin(pi x) / (pi x).

On nodes x = s t / 2, dA/ds has rank one, v v^T with v(t) = cos(pi s t / 2), so that with
R = (1 - A)^-1 the spacing's distribution 1 + E' and density E'' are F = 1 - E v^T R v and
p = -2 E v'^T R v. `applicability` (8) approximates p by the Wigner surmise pi s / 2 e^(-pi s^2 / 4)
and has for ratios r of consecutive spacings the surmise (12) of Atas et al. (arXiv:1212.5611),

    p(r) = 27/8 (r + r^2) / (1 + r + r^2)^(5/2),  F(r) = (1 + cos 3 phi) / 2,
    cot phi = (2 r + 1) / sqrt 3.

Bounded ratios are min(r, 1/r); p(r) = p(1/r) / r^2 makes their density twice that of r on (0, 1).

With the two-point cluster function Y = S^2 + S' int_r^inf S, the variance of the number of levels
in an interval of length L and the mean spectral rigidity are (Mehta, Random Matrices, chapter 16)

    Sigma^2(L) = L - 2 int_0^L (L - r) Y(r) dr,
    Delta_3(L) = 2 / L^4 int_0^L (L^3 - 2 L^2 r + r^3) Sigma^2(r) dr.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.polynomial import Chebyshev
from numpy.polynomial.legendre import leggauss
from numpy.typing import ArrayLike, NDArray
from scipy.special import sici

Array = NDArray[np.float64]

GOE_BOUNDED_RATIO = 0.5307  # mean of min(r, 1/r) for large matrices (Atas et al., table I)
POISSON_BOUNDED_RATIO = 2 * np.log(2) - 1

LONGEST = 8.0  # a GOE spacing is longer with probability 1e-19
NODES, DEGREE = 24, 64  # of the quadrature and of the Chebyshev series on [0, LONGEST]


@dataclass(frozen=True)
class LocalLaw:
    """A probability law on [0, upper], for spacings in units of their mean or for their ratios."""

    name: str
    mean: float
    upper: float
    _density: Callable[[Array], Array]
    _cdf: Callable[[Array], Array]
    _quantile: Callable[[Array], Array]

    def density(self, x: ArrayLike) -> Array:
        """The probability density, zero outside [0, upper]."""
        x = np.asarray(x, float)
        inside = (x >= 0) & (x <= self.upper)
        return np.where(inside, self._density(np.where(inside, x, 0.0)), 0.0)

    def cdf(self, x: ArrayLike) -> Array:
        """The distribution function."""
        return self._cdf(np.clip(np.asarray(x, float), 0, self.upper))

    def quantile(self, q: ArrayLike) -> Array:
        """The x with cdf(x) = q; nan outside [0, 1]."""
        q = np.asarray(q, float)
        inside = (q >= 0) & (q < 1)
        x = self._quantile(np.where(inside, q, 0.0))
        return np.where(inside, x, np.where(q == 1, self.upper, np.nan))

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """`n` independent draws."""
        return self.quantile(rng.random(n))


# Spacings ----------------------------------------------------------------------------------------


def goe_gap(s: ArrayLike, nodes: int = NODES) -> tuple[Array, Array, Array]:
    """E, F and p of the module's docstring at `s`, directly, without the table.

    The quadrature converges exponentially: with 16 nodes or more its error is round-off for s <= 8.
    """
    s = np.asarray(s, float)[..., None]
    t, weights = leggauss(nodes)
    t, root = 0.5 * (t + 1), np.sqrt(0.5 * weights)
    half = 0.5 * s[..., None]
    kernel = half * (np.sinc(half * (t[:, None] - t)) + np.sinc(half * (t[:, None] + t)))
    resolved = np.eye(nodes) - root[:, None] * kernel * root
    v = root * np.cos(0.5 * np.pi * s * t)
    slope = -0.5 * np.pi * root * t * np.sin(0.5 * np.pi * s * t)
    empty = np.linalg.det(resolved)
    solved = np.linalg.solve(resolved, v[..., None])[..., 0]
    return empty, 1 - empty * np.vecdot(v, solved), -2 * empty * np.vecdot(slope, solved)


@cache
def _goe_table() -> tuple[Chebyshev, Chebyshev, Array, Array]:
    """F and p as series, entire functions that they are, and sqrt F on a grid of s."""
    points = 0.5 * LONGEST * (1 + np.polynomial.chebyshev.chebpts1(DEGREE + 1))
    _, cdf, density = goe_gap(points)
    domain = [0.0, LONGEST]
    series = Chebyshev.fit(points, cdf, DEGREE, domain)
    grid = np.linspace(0, LONGEST, 1025)
    root = np.sqrt(np.clip(series(grid), 0, 1))  # F starts like s^2
    return series, Chebyshev.fit(points, density, DEGREE, domain), grid, root


def _goe_density(s: Array) -> Array:
    return np.where(s < LONGEST, np.maximum(_goe_table()[1](np.minimum(s, LONGEST)), 0), 0.0)


def _goe_cdf(s: Array) -> Array:
    return np.where(s < LONGEST, np.clip(_goe_table()[0](np.minimum(s, LONGEST)), 0, 1), 1.0)


def _goe_quantile(q: Array) -> Array:
    cdf, density, grid, root = _goe_table()
    rising = root < 1
    s = np.interp(np.sqrt(q), root[rising], grid[rising])
    for _ in range(3):  # Newton, from within 1e-5
        slope = density(s)
        step = np.divide(cdf(s) - q, slope, out=np.zeros_like(s), where=slope > 1e-12)
        s = np.clip(s - np.clip(step, -0.01, 0.01), 0, LONGEST)
    return s


def _wigner_density(s: Array) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(s < 100, 0.5 * np.pi * s * np.exp(-0.25 * np.pi * s**2), 0.0)


goe_spacing = LocalLaw("GOE", 1.0, np.inf, _goe_density, _goe_cdf, _goe_quantile)
wigner_surmise = LocalLaw(
    "Wigner surmise",
    1.0,
    np.inf,
    _wigner_density,
    lambda s: -np.expm1(-0.25 * np.pi * s**2),
    lambda q: np.sqrt(-4 / np.pi * np.log1p(-q)),
)
poisson_spacing = LocalLaw(
    "Poisson", 1.0, np.inf, lambda s: np.exp(-s), lambda s: -np.expm1(-s), lambda q: -np.log1p(-q)
)


# Ratios ------------------------------------------------------------------------------------------


def _surmise_density(r: Array) -> Array:
    c = 1 / np.hypot(np.sqrt(0.75), r + 0.5)
    return 27 / 8 * c**3 * (1 - c**2)


def _surmise_cdf(r: Array) -> Array:
    # (1 + cos 3 phi) / 2 = cos^2(3 phi / 2), the sine of the difference from phi = pi / 3, r = 0
    shift = np.arctan2(np.sqrt(3) * r, r + 2)
    tail = np.isinf(r)
    return np.where(tail, 1.0, np.sin(1.5 * np.where(tail, 0.0, shift)) ** 2)


def _surmise_quantile(q: Array) -> Array:
    shift = np.tan(2 / 3 * np.arcsin(np.sqrt(q)))
    return 2 * shift / (np.sqrt(3) - shift)


ratio_surmise = LocalLaw(
    "GOE surmise", 1.75, np.inf, _surmise_density, _surmise_cdf, _surmise_quantile
)
bounded_ratio_surmise = LocalLaw(
    "GOE surmise",
    4 - 2 * np.sqrt(3),
    1.0,
    lambda r: 2 * _surmise_density(r),
    lambda r: 2 * _surmise_cdf(r),
    lambda q: _surmise_quantile(0.5 * q),
)
poisson_ratio = LocalLaw(
    "Poisson",
    np.inf,
    np.inf,
    lambda r: (1 + r) ** -2.0,
    lambda r: -np.expm1(-np.log1p(r)),
    lambda q: q / (1 - q),
)
bounded_poisson_ratio = LocalLaw(
    "Poisson",
    POISSON_BOUNDED_RATIO,
    1.0,
    lambda r: 2 * (1 + r) ** -2.0,
    lambda r: 2 * r / (1 + r),
    lambda q: q / (2 - q),
)


# Fluctuations over longer intervals --------------------------------------------------------------


def goe_number_variance(length: ArrayLike, *, asymptotic: bool = False) -> Array:
    """Sigma^2 of the GOE at `length` > 0 in mean spacings; asymptotic: without terms O(1/length).

    For Poisson levels it is `length`.
    """
    length = np.asarray(length, float)
    x = 2 * np.pi * length
    if asymptotic:
        return 2 / np.pi**2 * (np.log(x) + np.euler_gamma + 1 - np.pi**2 / 8)
    sine, cosine = sici(x)
    unitary = np.log(x) + np.euler_gamma + 1 - np.cos(x) - cosine
    unitary = unitary / np.pi**2 + length * (1 - 2 / np.pi * sine)
    half = sici(0.5 * x)[0] / np.pi
    return 2 * unitary + half**2 - half


def goe_delta3(length: ArrayLike, *, asymptotic: bool = False) -> Array:
    """Mean Delta_3 of the GOE at `length` > 0 in mean spacings; for Poisson levels length / 15."""
    length = np.asarray(length, float)
    if asymptotic:
        return (np.log(2 * np.pi * length) + np.euler_gamma - 1.25 - np.pi**2 / 8) / np.pi**2
    # Sigma^2 is entire and has one wave per unit length
    t, weights = leggauss(40 + 4 * int(np.max(length, initial=0.0)))
    t = 0.5 * (t + 1)
    return goe_number_variance(length[..., None] * t) @ (weights * (1 - 2 * t + t**3))
