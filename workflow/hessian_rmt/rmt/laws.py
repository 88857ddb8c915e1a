"""g(z) = int dmu(x) / (z - x),  F = 1/g,  h(z) = F(z) - z,  K(g(z)) = z,  R(y) = K(y) - 1/y.

Laws of eigenvalues: semicircle (`geometry` (6)), Marchenko-Pastur (`geometry` (7), (8)) and
Kesten-McKay (McKay 1981; Bauerschmidt, Huang, Yau 2019). With s = sqrt(z - l) sqrt(z - r), l and r
the ends of the bulk, which is the branch s ~ z,

    semicircle        g = 2 / (z + s)                          R = mean + variance y
    Marchenko-Pastur  g = 2 / (z + variance (ratio - 1) + s)   R = variance / (1 - variance ratio y)
    Kesten-McKay      h = -2 degree / (z + s)                  R = 2 degree y / (1 + sqrt(1 + 4y^2))

h maps the upper half plane into itself: free convolution is written in h. Outside the support g
decreases strictly, so on every gap of the support K is a function; through the outer gap, which
contains infinity, it has the pole 1/y. Densities end like square roots or their reciprocals, so
with x = centre + half cos(theta) the measure is sum c_k cos(k theta) dtheta and converges fast.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import dct
from scipy.optimize.elementwise import find_root

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

GAP_NODES = 24
NEAR_ATOM = (1e-7, 1e-6, 1e-5, 1e-4)  # of a gap's length: where g is sampled next to its ends
FEWEST_TERMS, MOST_TERMS, TAIL = 64, 4096, 1e-13


class Gaps(NamedTuple):
    """The complement of a support. Gap 0 contains infinity: it runs from `left`, the right end of
    the support, through infinity to `right`. There g falls from `high` to `low`, infinite next to
    an atom; K(y) = regular part + pole / y; `nodes` (gaps, n) are values y = g that resolve it."""

    left: Array
    right: Array
    low: Array
    high: Array
    pole: Array
    nodes: Array


class Bands(NamedTuple):
    """The absolutely continuous part: on band i, x = centre + half cos(theta), 0 < theta < pi, and
    dmu = sum over k of coefficients[i, k] cos(k theta) dtheta."""

    centre: Array
    half: Array
    coefficients: Array

    @property
    def mass(self) -> Array:
        return np.pi * self.coefficients[:, 0]


class Law(ABC):
    """A compactly supported probability law on the real line; its atoms are isolated points."""

    @property
    @abstractmethod
    def mean(self) -> float: ...

    @property
    @abstractmethod
    def variance(self) -> float: ...

    @property
    @abstractmethod
    def support(self) -> list[tuple[float, float]]:
        """The intervals of the absolutely continuous part, ascending; atoms are listed apart."""

    @property
    def atoms(self) -> list[tuple[float, float]]:
        """(position, mass) of every atom, ascending."""
        return []

    @abstractmethod
    def density(self, x: ArrayLike) -> Array:
        """The density of the absolutely continuous part at real `x`."""

    @abstractmethod
    def h_transform(self, z: Complex) -> tuple[Complex, Complex]:
        """h(z) = 1/g(z) - z and h'(z) at complex `z` (n,) with Im z >= 0."""

    @property
    @abstractmethod
    def gaps(self) -> Gaps: ...

    @abstractmethod
    def inverse(self, y: Array, gap: NDArray[np.intp]) -> tuple[Array, Array]:
        """K(y) - pole / y and its derivative for real `y` (n,) in the gaps `gap` (n,)."""

    @abstractmethod
    def affine(self, scale: float, shift: float = 0.0) -> "Law":
        """The law of scale x + shift for x from this law; scale is not zero."""

    def stieltjes(self, z: ArrayLike) -> Complex:
        """g(z) with the sign of Im g opposite to Im z; at real z inside the support g(z + i0)."""
        points = np.asarray(z, complex)
        below = points.imag < 0
        flat = np.where(below, points.conj(), points).ravel()
        with np.errstate(divide="ignore", invalid="ignore"):
            g = self._stieltjes_above(flat).reshape(points.shape)
        return np.where(below, g.conj(), g)

    def _stieltjes_above(self, z: Complex) -> Complex:
        return 1 / (z + self.h_transform(z)[0])

    def r_transform(self, y: ArrayLike) -> Array:
        """R(y) for real `y` in the range of g outside the hull of the support, nan elsewhere."""
        points = np.asarray(y, float)
        inside = (points > self.gaps.low[0]) & (points < self.gaps.high[0])
        values = np.full(points.shape, np.nan)
        at = points[inside]
        values[inside] = self.inverse(at, np.zeros(at.size, np.intp))[0]
        return values

    @cached_property
    def bands(self) -> Bands:
        return _bands(self.density, self.support)

    def expect(self, function: Callable[[Array], Array]) -> float:
        """int f dmu for a function f that is smooth on the support."""
        centre, half, coefficients = self.bands
        count = coefficients.shape[1]
        cosines = np.cos((np.arange(count) + 0.5) * np.pi / count)
        x = centre[:, None] + half[:, None] * cosines
        values = dct(function(x), axis=1) / count  # int cos^2 = pi/2, and pi for k = 0
        total = np.pi / 2 * np.sum(values * coefficients)
        point = np.array(self.atoms).reshape(-1, 2)
        return float(total + point[:, 1] @ function(point[:, 0]))

    def cdf(self, x: ArrayLike) -> Array:
        """mu((-infinity, x])."""
        points = np.asarray(x, float)
        total = np.zeros(points.shape)
        for position, mass in self.atoms:
            total += mass * (points >= position)
        for centre, half, c in zip(*self.bands, strict=True):
            cosine = np.clip((points - centre) / half, -1, 1)
            total += _band_cdf(np.arccos(cosine), c)
        return np.clip(total, 0, 1)

    def quantile(self, q: ArrayLike) -> Array:
        """The smallest x with cdf(x) >= q, for q in [0, 1]."""
        levels = np.asarray(q, float)
        if not np.all((levels >= 0) & (levels <= 1)):
            raise ValueError("quantile: every level must lie in [0, 1]")
        bands = self.bands
        ends = bands.centre + bands.half
        point = np.array(self.atoms).reshape(-1, 2)
        order = np.argsort(np.r_[ends, point[:, 0]])
        above = np.cumsum(np.r_[bands.mass, point[:, 1]][order])
        above /= above[-1]
        piece = np.minimum(np.searchsorted(above, levels), len(above) - 1)
        result = np.empty(levels.shape)
        for i in np.unique(piece):
            here, part = piece == i, order[i]
            if part >= len(ends):
                result[here] = point[part - len(ends), 0]
                continue
            below = above[i - 1] if i else 0.0
            fraction = np.clip((levels[here] - below) / (above[i] - below), 0, 1)
            theta = _band_quantile(fraction, bands.coefficients[part])
            result[here] = bands.centre[part] + bands.half[part] * np.cos(theta)
        return result

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """`n` independent draws, by inversion."""
        return self.quantile(rng.random(n))


@dataclass(frozen=True)
class Semicircle(Law):
    """Density sqrt(4 variance - (x - mean)^2) / (2 pi variance): radius 2 sqrt(variance).

    `geometry` (6) calls sqrt(variance) sigma; the GOE of `universality` 3.3 has variance 1/2.
    """

    variance: float = 1.0  # type: ignore[assignment]
    mean: float = 0.0  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if not self.variance > 0:
            raise ValueError(f"Semicircle: the variance must be positive, not {self.variance}")

    @classmethod
    def of_radius(cls, radius: float, mean: float = 0.0) -> "Semicircle":
        return cls(radius**2 / 4, mean)

    @property
    def radius(self) -> float:
        return 2 * self.variance**0.5

    @property
    def support(self) -> list[tuple[float, float]]:
        return [(self.mean - self.radius, self.mean + self.radius)]

    def density(self, x: ArrayLike) -> Array:
        return _root(x, *self.support[0]) / (2 * np.pi * self.variance)

    def h_transform(self, z: Complex) -> tuple[Complex, Complex]:
        s = _s(z, *self.support[0])
        g = 2 / (z - self.mean + s)
        return -self.mean - self.variance * g, self.variance * g / s

    @cached_property
    def gaps(self) -> Gaps:
        return _outer_gap(self, -2 / self.radius, 2 / self.radius)

    def inverse(self, y: Array, gap: NDArray[np.intp]) -> tuple[Array, Array]:
        return self.mean + self.variance * y, np.full(y.shape, self.variance)

    def affine(self, scale: float, shift: float = 0.0) -> "Semicircle":
        return Semicircle(scale**2 * self.variance, scale * self.mean + shift)


@dataclass(frozen=True)
class MarchenkoPastur(Law):
    """The law of X X^T for X (n, m) with independent entries of variance `variance` / m.

    ratio = n / m is alpha in `universality` 3.3 and phi in `geometry` (7), whose sigma is our
    `variance`. For ratio > 1 zero is an atom of mass 1 - 1 / ratio.
    """

    ratio: float
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not (self.ratio > 0 and self.scale > 0):
            raise ValueError("MarchenkoPastur: ratio and scale must be positive")

    @property
    def mean(self) -> float:
        return self.scale

    @property
    def variance(self) -> float:
        return self.scale**2 * self.ratio

    @property
    def support(self) -> list[tuple[float, float]]:
        root = self.ratio**0.5
        return [(self.scale * (1 - root) ** 2, self.scale * (1 + root) ** 2)]

    @property
    def atoms(self) -> list[tuple[float, float]]:
        return [(0.0, 1 - 1 / self.ratio)] if self.ratio > 1 else []

    def density(self, x: ArrayLike) -> Array:
        x = np.asarray(x, float)
        safe = np.where(x > 0, x, 1)
        return (x > 0) * _root(x, *self.support[0]) / (2 * np.pi * self.scale * self.ratio * safe)

    def h_transform(self, z: Complex) -> tuple[Complex, Complex]:
        s = _s(z, *self.support[0])
        jump = self.scale * self.ratio
        sum_, difference = z + (jump - self.scale) + s, z + (jump - self.scale) - s
        # their product is 4 jump z: next to the atom the first loses its digits
        with np.errstate(divide="ignore", invalid="ignore"):
            g = np.where(abs(sum_) >= abs(difference), 2 / sum_, difference / (2 * jump * z))
            w = 1 - jump * g
            return -self.scale / w, self.scale * jump * g / (s * w)

    @cached_property
    def gaps(self) -> Gaps:
        root = self.ratio**0.5
        left, right = self.support[0]
        y_right = 1 / (self.scale * root * (root + 1))
        y_left = 1 / (self.scale * root * (root - 1)) if root != 1 else -np.inf
        if root <= 1:
            return _outer_gap(self, y_left, y_right)
        outer, nodes = _outer_nodes(self, 0.0, right), _gap_points(0.0, left)
        inner = self.stieltjes(nodes).real
        return Gaps(
            np.array([right, 0.0]),
            np.array([0.0, left]),
            np.array([-np.inf, y_left]),
            np.array([y_right, np.inf]),
            np.array([1.0, 0.0]),
            np.stack([outer, inner]),
        )

    def inverse(self, y: Array, gap: NDArray[np.intp]) -> tuple[Array, Array]:
        w = 1 - self.scale * self.ratio * y
        regular, slope = self.scale / w, self.variance / w**2
        inner = np.flatnonzero(gap)  # no pole there: 1/y belongs to the regular part
        regular[inner] += 1 / y[inner]
        slope[inner] -= 1 / y[inner] ** 2
        return regular, slope

    def affine(self, scale: float, shift: float = 0.0) -> Law:
        if scale > 0 and shift == 0:
            return MarchenkoPastur(self.ratio, scale * self.scale)
        return Affine(self, scale, shift)


@dataclass(frozen=True)
class KestenMcKay(Law):
    """Density d sqrt(4 (d - 1) - x^2) / (2 pi (d^2 - x^2)), the limit of random d-regular graphs.

    It is the free sum of d laws that put 1/2 on -1 and 1; d = 2 is the arcsine law on (-2, 2).
    """

    degree: float

    def __post_init__(self) -> None:
        if not self.degree >= 2:
            raise ValueError(f"KestenMcKay: the degree must be 2 or more, not {self.degree}")

    @property
    def mean(self) -> float:
        return 0.0

    @property
    def variance(self) -> float:
        return float(self.degree)

    @property
    def support(self) -> list[tuple[float, float]]:
        end = 2 * (self.degree - 1) ** 0.5
        return [(-end, end)]

    def density(self, x: ArrayLike) -> Array:
        x, d = np.asarray(x, float), self.degree
        root = _root(x, *self.support[0])
        # for d = 2 this is d / (2 pi root): the numerator cancels at the ends
        if d == 2:
            return np.divide(1, np.pi * root, out=np.zeros_like(root), where=root > 0)
        return d * root / (2 * np.pi * np.where(root > 0, d**2 - x**2, 1))

    def h_transform(self, z: Complex) -> tuple[Complex, Complex]:
        s = _s(z, *self.support[0])
        h = -2 * self.degree / (z + s)
        with np.errstate(divide="ignore", invalid="ignore"):
            return h, -h / s

    @cached_property
    def gaps(self) -> Gaps:
        d = self.degree
        end = (d - 1) ** 0.5 / (d - 2) if d > 2 else np.inf
        return _outer_gap(self, -end, end)

    def inverse(self, y: Array, gap: NDArray[np.intp]) -> tuple[Array, Array]:
        root = np.hypot(1, 2 * y)
        return 2 * self.degree * y / (1 + root), 2 * self.degree / (root * (1 + root))

    def affine(self, scale: float, shift: float = 0.0) -> Law:
        return Affine(self, scale, shift)


@dataclass(frozen=True)
class Affine(Law):
    """The law of scale x + shift for x from `law`; see `Law.affine`."""

    law: Law
    scale: float
    shift: float = 0.0

    def __post_init__(self) -> None:
        if self.scale == 0:
            raise ValueError("Affine: the scale must not be zero")

    @property
    def mean(self) -> float:
        return self.scale * self.law.mean + self.shift

    @property
    def variance(self) -> float:
        return self.scale**2 * self.law.variance

    @property
    def support(self) -> list[tuple[float, float]]:
        ends = [(self.scale * a + self.shift, self.scale * b + self.shift) for a, b in self._bands]
        return sorted((min(pair), max(pair)) for pair in ends)

    @property
    def _bands(self) -> list[tuple[float, float]]:
        return self.law.support

    @property
    def atoms(self) -> list[tuple[float, float]]:
        return sorted((self.scale * x + self.shift, mass) for x, mass in self.law.atoms)

    def density(self, x: ArrayLike) -> Array:
        at = (np.asarray(x, float) - self.shift) / self.scale
        return self.law.density(at) / abs(self.scale)

    def h_transform(self, z: Complex) -> tuple[Complex, Complex]:
        at = (z - self.shift) / self.scale
        if self.scale < 0:  # h of the mirrored law is -conj h(-conj z)
            h, slope = self.law.h_transform(at.conj())
            h, slope = h.conj(), slope.conj()
        else:
            h, slope = self.law.h_transform(at)
        return self.scale * h - self.shift, slope

    @cached_property
    def gaps(self) -> Gaps:
        left, right, low, high, pole, nodes = self.law.gaps
        if self.scale < 0:
            left, right, low, high = right, left, high, low
        return Gaps(
            self.scale * left + self.shift,
            self.scale * right + self.shift,
            low / self.scale,
            high / self.scale,
            pole,
            nodes / self.scale,
        )

    def inverse(self, y: Array, gap: NDArray[np.intp]) -> tuple[Array, Array]:
        regular, slope = self.law.inverse(self.scale * y, gap)
        return self.shift + self.scale * regular, self.scale**2 * slope

    def affine(self, scale: float, shift: float = 0.0) -> Law:
        return Affine(self.law, scale * self.scale, scale * self.shift + shift)


# Helpers ------------------------------------------------------------------------------------------


def _s(z: Complex, left: float, right: float) -> Complex:
    """sqrt((z - left)(z - right)), the branch like z at infinity; at real z the limit from above."""
    return np.sqrt(z - left) * np.sqrt(z - right)


def _root(x: ArrayLike, left: float, right: float) -> Array:
    x = np.asarray(x, float)
    return np.sqrt(np.maximum((x - left) * (right - x), 0))


def _gap_points(left: float | Array, right: float | Array) -> Array:
    """GAP_NODES points between `left` and `right`, dense at the ends; a new last axis."""
    inner = GAP_NODES - 2 * len(NEAR_ATOM)
    cosine = (1 - np.cos((np.arange(inner) + 0.5) * np.pi / inner)) / 2
    t = np.concatenate([NEAR_ATOM, cosine, 1 - np.array(NEAR_ATOM)[::-1]])
    left, right = np.asarray(left)[..., None], np.asarray(right)[..., None]
    return left + t * (right - left)


def _outer_nodes(law: Law, left: float, right: float) -> Array:
    """Values of g beyond both ends of the support [left, right]."""
    t = _gap_points(0.0, 1.0)
    far = (right - left) * (t / (1 - t))[::2]
    points = np.concatenate([left - far, right + far])
    return np.sort(law.stieltjes(points).real)


def _outer_gap(law: Law, low: float, high: float) -> Gaps:
    """The gaps of a law on one interval; g is `low` and `high` at its left and right end."""
    left, right = law.support[0]
    nodes = _outer_nodes(law, left, right)[None]
    ends = (np.array([value]) for value in (right, left, low, high, 1.0))
    return Gaps(*ends, nodes)


def _bands(density: Callable[[Array], Array], support: list[tuple[float, float]]) -> Bands:
    """Cosine coefficients of every band, doubled in number until the last are round-off."""
    ends = np.array(support, float).reshape(-1, 2)
    centre, half = ends.mean(1), (ends[:, 1] - ends[:, 0]) / 2
    solved: dict[int, Array] = {}
    left, count = np.arange(len(ends)), FEWEST_TERMS
    while left.size:
        theta = (np.arange(count) + 0.5) * np.pi / count
        x = centre[left, None] + half[left, None] * np.cos(theta)
        weights = density(x.ravel()).reshape(x.shape) * half[left, None] * np.sin(theta)
        c = dct(weights, axis=1) / count
        c[:, 0] /= 2
        tail = np.abs(c[:, -count // 8 :]).max(1)
        done = (tail <= TAIL * np.abs(c).max(1)) | (count >= MOST_TERMS)
        solved.update(zip(left[done].tolist(), c[done], strict=True))
        left, count = left[~done], 2 * count
    most = max((len(c) for c in solved.values()), default=1)
    coefficients = np.zeros((len(ends), most))
    for i, c in solved.items():
        coefficients[i, : len(c)] = c
    return Bands(centre, half, coefficients)


def _band_cdf(theta: Array, c: Array) -> Array:
    """int over (theta, pi) of sum c_k cos(k t) dt, by Clenshaw's recurrence for the sines."""
    top = len(c) - 1
    while top and abs(c[top]) <= 1e-17 * abs(c[0]):
        top -= 1
    double_cosine, now, before = 2 * np.cos(theta), np.zeros_like(theta), np.zeros_like(theta)
    for k in range(top, 0, -1):
        now, before = c[k] / k + double_cosine * now - before, now
    return c[0] * (np.pi - theta) - np.sin(theta) * now


def _band_quantile(fraction: Array, c: Array) -> Array:
    """The theta above which (towards pi) lies `fraction` of the band's mass."""
    grid = np.linspace(0, np.pi, 2 * len(c) + 1)[::-1]
    mass = np.pi * c[0]
    table = np.maximum.accumulate(_band_cdf(grid, c) / mass)
    table[0], table[-1] = 0, 1
    at = np.clip(np.searchsorted(table, fraction), 1, len(grid) - 1)
    root = find_root(
        lambda theta, level: _band_cdf(theta, c) / mass - level,
        (grid[at], grid[at - 1]),
        args=(fraction,),
    )
    return np.where(root.success, root.x, grid[at])
