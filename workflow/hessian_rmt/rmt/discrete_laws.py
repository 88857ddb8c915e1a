"""mu = sum over k of m_k delta(x_k):  g(z) = sum m_k / (z - x_k).

Finite atoms and empirical spectra (eigenvalues, or nodes and weights of a Lanczos quadrature).
Between neighbouring atoms K is found by fitting a pole to either side of the gap, which keeps every
iterate inside it and converges quadratically (the "middle way" of the secular equation, R.-C. Li
1994); through infinity the same is done in v = 1 / (w - centre).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hessian_rmt.rmt.law import Array, Complex, Gaps, Law, gap_points, outer_points, sampled

CHUNK = 32768  # entries of a block points x atoms, which then stays in cache
MOST_STEPS = 60


@dataclass(frozen=True)
class Atoms(Law):
    """Masses `weights` (n,), normalised to one, at `positions` (n,); ties are merged.

    Without `weights` all masses are equal.
    """

    positions: Array
    weights: Array = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        x = np.atleast_1d(np.asarray(self.positions, float))
        m = np.asarray(self.weights, float)
        m = m if m.size else np.ones(len(x))
        if x.ndim != 1 or x.shape != m.shape or not x.size:
            raise ValueError("Atoms: positions and weights must be two vectors of one length")
        if not (np.all(np.isfinite(x)) and np.all(m >= 0) and np.isfinite(m.sum()) and m.sum() > 0):
            raise ValueError("Atoms: positions must be finite, weights non-negative, not all zero")
        x, index = np.unique(x[m > 0], return_inverse=True)
        m = np.bincount(index, m[m > 0])
        object.__setattr__(self, "positions", x)
        object.__setattr__(self, "weights", m / m.sum())

    @property
    def mean(self) -> float:
        return float(self.weights @ self.positions)

    @property
    def variance(self) -> float:
        return float(self.weights @ (self.positions - self.mean) ** 2)

    @property
    def support(self) -> list[tuple[float, float]]:
        return []

    @property
    def atoms(self) -> list[tuple[float, float]]:
        return list(zip(self.positions.tolist(), self.weights.tolist(), strict=True))

    def density(self, x: ArrayLike) -> Array:
        return np.zeros(np.shape(x))

    def cdf(self, x: ArrayLike) -> Array:
        total = np.r_[0, np.cumsum(self.weights)]
        total[-1] = 1
        return total[np.searchsorted(self.positions, np.asarray(x, float), side="right")]

    def quantile(self, q: ArrayLike) -> Array:
        levels = np.asarray(q, float)
        if not np.all((levels >= 0) & (levels <= 1)):
            raise ValueError("quantile: every level must lie in [0, 1]")
        at = np.searchsorted(np.cumsum(self.weights), levels)
        return self.positions[np.minimum(at, len(self.positions) - 1)]

    def h_transform(self, z: Complex) -> tuple[Complex, Complex]:
        g, moment, slope = self._sums(z)
        with np.errstate(divide="ignore", invalid="ignore"):
            h = -moment / g - self._centre  # 1 - (z - c) g = -sum m (x - c) / (z - x)
            return h, -slope / g**2 - 1

    def _sums(self, z: Complex) -> tuple[Complex, Complex, Complex]:
        """g(z), sum m (x - centre) / (z - x) and g'(z), in real arithmetic: three times faster."""
        x, m = self.positions, self.weights
        both = np.stack([m, m * (x - self._centre)], 1)
        sums = np.empty((6, len(z)))
        rows = max(1, CHUNK // len(x))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            for i in range(0, len(z), rows):
                part = slice(i, i + rows)
                a, b = z.real[part, None] - x, z.imag[part, None]
                q = 1 / (a * a + b * b)
                sums[:2, part] = (q @ both).T
                sums[4, part] = (q * q) @ m
                a *= q
                sums[2:4, part] = (a @ both).T
                sums[5, part] = (a * q) @ m
            b = z.imag
            g, moment = sums[2] - 1j * b * sums[0], sums[3] - 1j * b * sums[1]
            slope = 2 * b * b * sums[4] - sums[0] + 2j * b * sums[5]
        return g, moment, slope

    def _log_potential_above(self, z: Complex) -> Complex:
        result = np.empty(z.shape, complex)
        rows = max(1, CHUNK // len(self.positions))
        for i in range(0, len(z), rows):
            part = slice(i, i + rows)
            difference = z[part, None] - self.positions
            difference.imag += 0.0  # no -0: its logarithm would be the limit from below
            result[part] = np.log(difference) @ self.weights
        return result

    @property
    def _centre(self) -> float:
        return float(self.positions[0] + self.positions[-1]) / 2

    @cached_property
    def gaps(self) -> Gaps:
        x = self.positions
        infinite = np.full(len(x), np.inf)
        pole = np.r_[1.0, np.zeros(len(x) - 1)]
        if len(x) == 1:  # h is constant
            nodes, least = np.empty((1, 0)), np.zeros(1)
        else:
            points = np.vstack([outer_points(x[0], x[-1]), gap_points(x[:-1], x[1:])])
            nodes, least = sampled(self, points)
        return Gaps(np.roll(x, 1), x, -infinite, infinite, pole, nodes, least)

    def inverse(self, y: Array, gap: NDArray[np.intp]) -> tuple[Array, Array]:
        regular, slope = np.empty(y.shape), np.empty(y.shape)
        if len(self.positions) == 1:
            return np.full(y.shape, self.positions[0]), np.zeros(y.shape)
        rows = max(1, CHUNK // len(self.positions))
        for here, solve in ((gap == 0, self._outer_inverse), (gap != 0, self._inner_inverse)):
            index = np.flatnonzero(here)
            for i in range(0, len(index), rows):
                part = index[i : i + rows]
                regular[part], slope[part] = solve(y[part], gap[part])
        return regular, slope

    def _outer_inverse(self, y: Array, gap: NDArray[np.intp]) -> tuple[Array, Array]:
        """With v = 1 / (w - c): g = sum m v / (1 - (x - c) v), and R as a ratio of sums."""
        c, m = self._centre, self.weights
        x = self.positions - c
        low, high = 1 / x[0], 1 / x[-1]
        positive = x > 0

        def split(v: Array, at: NDArray[np.intp]) -> tuple[Array, Array, Array]:
            q = 1 / (1 - x * v[:, None])
            squares = m * q * q
            rising = squares[:, positive].sum(1)
            return v * (q @ m), squares[:, ~positive].sum(1), rising

        n = len(y)
        v = _root_between_poles(split, y, np.full(n, low), np.full(n, high), 0 * y)
        q = 1 / (1 - x * v[:, None])
        top, bottom, squares = q @ (m * x), q @ m, q * q
        slope = squares @ (m * x**2) * bottom - top * (squares @ (m * x))
        return c + top / bottom, slope / bottom**2 / (squares @ m)

    def _inner_inverse(self, y: Array, gap: NDArray[np.intp]) -> tuple[Array, Array]:
        x, m = self.positions, self.weights
        left, right = x[gap - 1], x[gap]

        def split(w: Array, at: NDArray[np.intp]) -> tuple[Array, Array, Array]:
            q = 1 / (w[:, None] - x)
            before = np.arange(len(x)) < gap[at, None]
            squares = m * q * q
            lower = np.where(before, squares, 0).sum(1)
            return -(q @ m), lower, squares.sum(1) - lower

        w = _root_between_poles(split, -y, left, right, (left + right) / 2)
        return w, -1 / ((1 / (w[:, None] - x)) ** 2 @ m)

    def affine(self, scale: float, shift: float = 0.0) -> "Atoms":
        if scale == 0:
            raise ValueError("affine: the scale must not be zero")
        return Atoms(scale * self.positions + shift, self.weights)


class Empirical(Atoms):
    """The law of a spectrum: `Empirical(eigenvalues)`, or `Empirical(nodes, weights)` from a
    Lanczos quadrature. Free convolution takes it as it stands, without smoothing."""


_Split = Callable[[Array, NDArray[np.intp]], tuple[Array, Array, Array]]


def _root_between_poles(f: _Split, target: Array, low: Array, high: Array, start: Array) -> Array:
    """Solve f = target where f rises from -infinity at `low` to infinity at `high`.

    `f(w, at)` for the problems `at` gives the value and the two parts of the slope that belong to
    the poles on the left and on the right. The model
    c - alpha / (w - low) + beta / (high - w) has the same value and parts of slope at w.
    """
    root, left = start.copy(), np.arange(len(start))
    for _ in range(MOST_STEPS):
        w, a, b = root[left], low[left], high[left]
        value, alpha, beta = f(w, left)
        alpha, beta = alpha * (w - a) ** 2, beta * (b - w) ** 2
        c = value - target[left] + alpha / (w - a) - beta / (b - w)
        # with t = w - a in (0, length): c t^2 - (c length + alpha + beta) t + alpha length = 0
        length = b - a
        linear = c * length + alpha + beta
        root_of = np.sqrt(np.maximum(linear**2 - 4 * c * alpha * length, 0))
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where(
                linear > 0, 2 * alpha * length / (linear + root_of), (linear - root_of) / (2 * c)
            )
        new = np.clip(a + t, np.nextafter(a, b), np.nextafter(b, a))
        root[left] = new
        moving = np.abs(new - w) > 4e-16 * np.maximum(np.abs(a), np.abs(b))
        moving &= np.abs(new - w) > 1e-15 * np.minimum(new - a, b - new)
        left = left[moving]
        if not left.size:
            break
    return root
