"""g(z) = int dmu(x) / (z - x),  F = 1/g,  h(z) = F(z) - z,  K(g(z)) = z,  R(y) = K(y) - 1/y.

Stieltjes transform, subordination function, functional inverse and R transform of a law
(`geometry` (11)-(13)). h maps the upper half plane into itself: free convolution is written in h.
Outside the support g decreases strictly, so on every gap of the support K is a function; through
the outer gap, which contains infinity, it has the pole 1/y. The logarithmic potential
L(z) = int log(z - x) dmu, L' = g, gives the cdf: Im L(x + i0) = pi mu((x, infinity)).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize.elementwise import find_root

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

GAP_NODES = 24
NEAR_ATOM = (1e-7, 1e-6, 1e-5, 1e-4)  # of a gap's length: where g is sampled next to its ends
FEWEST_NODES, MOST_NODES = 128, 2048  # of a quadrature on one band
TABLE = 512  # values of the cdf that bracket the quantiles of a band


class Gaps(NamedTuple):
    """The complement of a support. Gap 0 contains infinity: it runs from `left`, the right end of
    the support, through infinity to `right`. There g falls from `high` to `low`, infinite next to
    an atom; K(y) = regular part + pole / y. `nodes` (gaps, n) are ascending values of g that
    resolve the gap, and `least` is the smallest h' there."""

    left: Array
    right: Array
    low: Array
    high: Array
    pole: Array
    nodes: Array
    least: Array


class Law(ABC):
    """A compactly supported probability law on the real line; its atoms are isolated points."""

    explicit = True  # h is a formula, not the root of equations

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

    @abstractmethod
    def _log_potential_above(self, z: Complex) -> Complex:
        """`log_potential` at `z` (n,) with Im z >= 0."""

    def log_potential(self, z: ArrayLike) -> Complex:
        """L(z) = int log(z - x) dmu(x), L' = g, cut along the real line up to the support's right
        end; at real z the limit from above, int log|z - x| dmu + i pi mu((z, infinity))."""
        points = np.asarray(z, complex)
        below = points.imag < 0
        flat = np.where(below, points.conj(), points).ravel()
        with np.errstate(divide="ignore", invalid="ignore"):
            value = self._log_potential_above(flat).reshape(points.shape)
        return np.where(below, value.conj(), value)

    def expect(self, function: Callable[[Array], Array]) -> float:
        """int f dmu for an f that is smooth on the support: Chebyshev's nodes, on every band as
        many as it takes to agree to 1e-13, but 2048 at most."""
        point = np.array(self.atoms).reshape(-1, 2)
        total = float(point[:, 1] @ function(point[:, 0]))
        ends = np.array(self.support).reshape(-1, 2)
        last = np.full(len(ends), np.inf)
        left, count = np.arange(len(ends)), FEWEST_NODES
        while left.size:
            theta = (np.arange(count) + 0.5) * np.pi / count
            centre, half = ends[left].mean(1), np.diff(ends[left])[:, 0] / 2
            x = centre[:, None] + half[:, None] * np.cos(theta)
            rho = self.density(x.ravel()).reshape(x.shape) * half[:, None]
            terms = function(x) * rho * np.sin(theta)
            value = np.pi * terms.mean(1)
            size = np.pi * np.abs(terms).mean(1)
            done = (np.abs(value - last[left]) <= 1e-13 * size) | (count >= MOST_NODES)
            total += float(value[done].sum())
            last[left] = value
            left, count = left[~done], 2 * count
        return total

    def cdf(self, x: ArrayLike) -> Array:
        """mu((-infinity, x])."""
        points = np.asarray(x, float)
        gap = self.gap_of(points)
        value = np.where(gap > 0, self._levels[gap], points >= self.gaps.left[0])
        inside = gap < 0
        value[inside] = 1 - self.log_potential(points[inside]).imag / np.pi
        return np.clip(value, 0, 1)

    def gap_of(self, x: Array) -> NDArray[np.intp]:
        """The gap that contains x, ends included, an atom the one on its right; -1 on a band."""
        gaps = self.gaps
        at = np.searchsorted(gaps.left[1:], x, side="right")  # gap 0 is no interval
        inner = (at > 0) & (x <= gaps.right[at])
        outer = (x <= gaps.right[0]) & ~inner | (x >= gaps.left[0])
        return np.where(outer, 0, np.where(inner, at, -1))

    @cached_property
    def _levels(self) -> Array:
        """The cdf on every gap, 0 for the outer one."""
        gaps = self.gaps
        middle = (gaps.left[1:] + gaps.right[1:]) / 2
        return np.r_[0.0, 1 - self.log_potential(middle).imag / np.pi]

    @cached_property
    def _pieces(self) -> tuple[Array, Array, Array, Array]:
        """Atoms and bands ascending: left and right end, cdf below and above."""
        ends = np.array(self.support + [(x, x) for x, _ in self.atoms]).reshape(-1, 2)
        left, right = ends[np.argsort(ends[:, 0])].T
        above = np.r_[self.cdf((right[:-1] + left[1:]) / 2), 1.0]
        return left, right, np.r_[0.0, above[:-1]], above

    def quantile(self, q: ArrayLike) -> Array:
        """The smallest x with cdf(x) >= q, for q in [0, 1]."""
        levels = np.asarray(q, float)
        if not np.all((levels >= 0) & (levels <= 1)):
            raise ValueError("quantile: every level must lie in [0, 1]")
        left, right, low, high = self._pieces
        piece = np.minimum(np.searchsorted(high, levels), len(high) - 1)
        result = np.where(levels <= low[piece], left[piece], right[piece])
        for i in np.unique(piece):
            here = (piece == i) & (levels > low[i]) & (levels < high[i])
            if left[i] < right[i] and here.any():
                result[here] = self._band_quantile(levels[here], left[i], right[i])
        return result

    def _band_quantile(self, levels: Array, left: float, right: float) -> Array:
        centre, half = (left + right) / 2, (right - left) / 2
        theta = np.linspace(np.pi, 0, min(TABLE, 16 + 2 * levels.size))[1:-1]
        grid = np.r_[left, centre + half * np.cos(theta), right]
        table = np.maximum.accumulate(np.r_[-1, self.cdf(grid[1:-1]), 2])
        at = np.searchsorted(table, levels)
        root = find_root(
            lambda x, level: self.cdf(x) - level,
            (grid[at - 1], grid[at]),
            args=(levels,),
            tolerances={"xatol": 1e-15 * half, "fatol": 1e-16},
        )
        return np.where(root.success, root.x, grid[at])

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """`n` independent draws, by inversion."""
        return self.quantile(rng.random(n))


# Points that resolve a gap ------------------------------------------------------------


def gap_points(left: float | Array, right: float | Array) -> Array:
    """GAP_NODES points between `left` and `right`, dense at the ends; a new last axis."""
    inner = GAP_NODES - 2 * len(NEAR_ATOM)
    cosine = (1 - np.cos((np.arange(inner) + 0.5) * np.pi / inner)) / 2
    t = np.concatenate([NEAR_ATOM, cosine, 1 - np.array(NEAR_ATOM)[::-1]])
    left, right = np.asarray(left)[..., None], np.asarray(right)[..., None]
    return left + t * (right - left)


def outer_points(left: float, right: float) -> Array:
    """As many points beyond both ends of the support [left, right]."""
    t = gap_points(0.0, 1.0)
    far = (right - left) * (t / (1 - t))[::2]
    return np.concatenate([left - far, right + far])


def sampled(law: Law, points: Array) -> tuple[Array, Array]:
    """`Gaps.nodes` and `Gaps.least` from `points` (gaps, n) in the gaps of `law`."""
    z = points.ravel().astype(complex)
    h, slope = law.h_transform(z)
    nodes, slopes = (1 / (z + h)).real.reshape(points.shape), slope.real.reshape(points.shape)
    return np.sort(nodes, axis=1), slopes.min(1)
