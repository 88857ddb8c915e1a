"""Semicircle (`geometry` (6)), Marchenko-Pastur (`geometry` (7), (8)) and Kesten-McKay
(McKay 1981; Bauerschmidt, Huang, Yau 2019, which `universality` 3.3 cites).

With s = sqrt(z - l) sqrt(z - r), l and r the ends of the bulk, which is the branch s ~ z,

    semicircle        g = 2 / (z - mean + s)                 R = mean + variance y
    Marchenko-Pastur  g = 2 / (z + scale (ratio - 1) + s)    R = scale / (1 - scale ratio y)
    Kesten-McKay      h = -2 degree / (z + s)                R = 2 degree y / (1 + sqrt(1 + 4 y^2))

From F + R(g) = z follow h = -R(g), free of cancellation, and the logarithmic potential
L = -log g + g R(g) - int_0^g R, in C+ with principal logarithms.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hessian_rmt.rmt.law import Array, Complex, Gaps, Law, gap_points, outer_points, sampled


@dataclass(frozen=True)
class Semicircle(Law):
    """Density sqrt(4 variance - (x - mean)^2) / (2 pi variance): radius 2 sqrt(variance).

    `geometry` (6) calls sqrt(variance) sigma; the GOE of `universality` 3.3 has variance 1/2.
    """

    variance: float = 1.0
    mean: float = 0.0

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
        g: Complex = 2 / (z - self.mean + s)
        return -self.mean - self.variance * g, self.variance * g / s

    @cached_property
    def gaps(self) -> Gaps:
        return _outer_gap(self, -2 / self.radius, 2 / self.radius)

    def inverse(self, y: Array, gap: NDArray[np.intp]) -> tuple[Array, Array]:
        return self.mean + self.variance * y, np.full(y.shape, self.variance)

    def _log_potential_above(self, z: Complex) -> Complex:
        g = self._stieltjes_above(z)
        return _minus_log(g) + self.variance * g**2 / 2

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
            g: Complex = np.where(
                abs(sum_) >= abs(difference), 2 / sum_, difference / (2 * jump * z)
            )
            w = 1 - jump * g
            h: Complex = -self.scale / w
            return h, self.scale * jump * g / (s * w)

    @cached_property
    def gaps(self) -> Gaps:
        root = self.ratio**0.5
        left, right = self.support[0]
        y_right = 1 / (self.scale * root * (root + 1))
        y_left = 1 / (self.scale * root * (root - 1)) if root != 1 else -np.inf
        if root <= 1:
            return _outer_gap(self, y_left, y_right)
        points = np.stack([outer_points(0.0, right), gap_points(0.0, left)])
        return Gaps(
            np.array([right, 0.0]),
            np.array([0.0, left]),
            np.array([-np.inf, y_left]),
            np.array([y_right, np.inf]),
            np.array([1.0, 0.0]),
            *sampled(self, points),
        )

    def inverse(self, y: Array, gap: NDArray[np.intp]) -> tuple[Array, Array]:
        w = 1 - self.scale * self.ratio * y
        regular, slope = self.scale / w, self.variance / w**2
        inner = np.flatnonzero(gap)  # no pole there: 1/y belongs to the regular part
        regular[inner] += 1 / y[inner]
        slope[inner] -= 1 / y[inner] ** 2
        return regular, slope

    def _log_potential_above(self, z: Complex) -> Complex:
        g = self._stieltjes_above(z)
        w = 1 - self.scale * self.ratio * g
        log_w = np.log(np.abs(w)) + 1j * np.abs(np.angle(w))  # w is in the upper half plane
        return _minus_log(g) + self.scale * g / w + log_w / self.ratio

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

    def _log_potential_above(self, z: Complex) -> Complex:
        h, _ = self.h_transform(z)
        g = 1 / (z + h)
        return _minus_log(g) + self.degree / 2 * np.log(1 - g * h / self.degree)

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
        ends = [
            (self.scale * a + self.shift, self.scale * b + self.shift) for a, b in self.law.support
        ]
        return sorted((min(pair), max(pair)) for pair in ends)

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
        left, right, low, high, pole, nodes, least = self.law.gaps
        if self.scale < 0:
            left, right, low, high, nodes = right, left, high, low, nodes[:, ::-1]
        return Gaps(
            self.scale * left + self.shift,
            self.scale * right + self.shift,
            low / self.scale,
            high / self.scale,
            pole,
            nodes / self.scale,
            least,
        )

    def inverse(self, y: Array, gap: NDArray[np.intp]) -> tuple[Array, Array]:
        regular, slope = self.law.inverse(self.scale * y, gap)
        return self.shift + self.scale * regular, self.scale**2 * slope

    def _log_potential_above(self, z: Complex) -> Complex:
        at = (z - self.shift) / self.scale
        if self.scale > 0:
            return self.law._log_potential_above(at) + np.log(self.scale)
        mirrored = self.law._log_potential_above(at.conj()).conj()
        return mirrored + np.log(-self.scale) + 1j * np.pi

    def affine(self, scale: float, shift: float = 0.0) -> Law:
        return Affine(self.law, scale * self.scale, scale * self.shift + shift)


# Helpers ------------------------------------------------------------------------------------------


def _s(z: Complex, left: float, right: float) -> Complex:
    """sqrt((z - left)(z - right)) like z at infinity; at real z the limit from above."""
    return np.sqrt(z - left) * np.sqrt(z - right)


def _minus_log(g: Complex) -> Complex:
    """-log g on the closed lower half plane: its imaginary part lies in [0, pi]."""
    return -np.log(np.abs(g)) + 1j * np.abs(np.angle(g))


def _root(x: ArrayLike, left: float, right: float) -> Array:
    x = np.asarray(x, float)
    return np.sqrt(np.maximum((x - left) * (right - x), 0))


def _outer_gap(law: Law, low: float, high: float) -> Gaps:
    """The gaps of a law on one interval; g is `low` and `high` at its left and right end."""
    left, right = law.support[0]
    points = outer_points(left, right)[None]
    ends = np.array([[right], [left], [low], [high], [1.0]])
    return Gaps(ends[0], ends[1], ends[2], ends[3], ends[4], *sampled(law, points))
