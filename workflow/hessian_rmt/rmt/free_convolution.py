"""mu_1 + ... + mu_n, free:  omega_k = z + sum over j != k of h_j(omega_j),  g(z) = g_k(omega_k).

The subordination functions omega_k (Biane 1998; Belinschi, Bercovici 2007) behind `universality`
(3.1), (3.45) and `geometry` (14). For every z with Im z >= 0 the system has at most one root with
Im omega_k > 0 (the Denjoy-Wolff point): a small residual and these signs certify the branch.

The gaps of the support and its edges are found in `free_edges`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize.elementwise import find_root

from hessian_rmt.rmt.discrete_laws import Atoms
from hessian_rmt.rmt.free_edges import NARROWEST, OPEN, Index, gaps_of_sum
from hessian_rmt.rmt.law import Array, Complex, Gaps, Law
from hessian_rmt.rmt.laws import MarchenkoPastur, Semicircle

RESIDUAL = 1e-10  # what is accepted, relative to the spread of the law; usual is 1e-15
STEP = 1e-10  # a shorter Newton step is the last, since the next is its square
DESCENTS = ((1 / 16, 1e-2, 1, 60), (0.5, 1e-9, 2, 400))  # see _solve
FLAT = 1e-7  # g, relative to 1 / spread, below which an omega is too large for L


@dataclass(frozen=True)
class Subordination:
    """g(z), omega (n, ...) with g_k(omega_k) = g, and the largest violation of the equations,
    relative to the spread of the law and to the omegas."""

    stieltjes: Complex
    omega: Complex
    residual: Array
    steps: int


@dataclass(frozen=True)
class FreeSum(Law):
    """The free additive convolution of two laws; made by `free_additive_convolution`."""

    explicit = False
    first: Law
    second: Law

    @property
    def mean(self) -> float:
        return self.first.mean + self.second.mean

    @property
    def variance(self) -> float:
        return self.first.variance + self.second.variance

    @cached_property
    def summands(self) -> list[Law]:
        """The laws that are no free sums themselves: they are solved for side by side."""
        return [
            leaf
            for law in (self.first, self.second)
            for leaf in (law.summands if isinstance(law, FreeSum) else [law])
        ]

    @cached_property
    def atoms(self) -> list[tuple[float, float]]:
        pairs = [(a + b, p + q - 1) for a, p in self.first.atoms for b, q in self.second.atoms]
        return sorted((x, mass) for x, mass in pairs if mass > OPEN)

    @cached_property
    def support(self) -> list[tuple[float, float]]:
        gaps = self.gaps
        left = np.r_[gaps.right[0], gaps.right[1:]]
        right = np.r_[gaps.left[1:], gaps.left[0]]
        width = NARROWEST * (gaps.left[0] - gaps.right[0])
        # a band without width between two infinite values of g is an atom
        bands = zip(left.tolist(), right.tolist(), strict=True)
        return [(a, b) for a, b in bands if b - a > width]

    def subordination(self, z: ArrayLike) -> Subordination:
        """g and the subordination functions at `z`; at real z in the support the limits from above.

        Real z off the support is solved on the real line. Raises ArithmeticError where no root
        with the right signs and a residual below 1e-10 was found, never returns another branch.
        """
        points = np.asarray(z, complex)
        below = points.imag < 0
        flat: Complex = np.where(below, points.conj(), points).ravel()
        gap = np.full(flat.shape, -1)
        real = flat.imag == 0
        gap[real] = self.gap_of(flat.real[real])
        outside, inside = gap >= 0, gap < 0
        spread = self.variance**0.5
        omega = np.empty((len(self.summands), flat.size), complex)
        g, residual = np.empty(flat.shape, complex), np.empty(flat.shape)
        y, omega[:, outside], residual[outside] = self._on_gaps(flat.real[outside], gap[outside])
        g[outside] = y
        omega[:, inside], steps = _solve(self.summands, flat[inside], spread)
        g[inside], residual[inside] = _residual(
            self.summands, flat[inside], omega[:, inside], spread
        )
        wrong = ~(residual <= RESIDUAL)
        wrong[inside] |= np.any(omega.imag[:, inside] < flat.imag[inside], axis=0)
        if wrong.any():
            raise ArithmeticError(
                f"free convolution: no certified root at {wrong.sum()} of {flat.size} points, "
                f"the first at z = {flat[wrong][0]:.12g}"
            )
        g, omega = g.reshape(points.shape), omega.reshape(len(omega), *points.shape)
        return Subordination(
            np.where(below, g.conj(), g),
            np.where(below, omega.conj(), omega),
            residual.reshape(points.shape),
            steps,
        )

    def _stieltjes_above(self, z: Complex) -> Complex:
        return self.subordination(z).stieltjes

    def _log_potential_above(self, z: Complex) -> Complex:
        """L = sum L_k(omega_k) + (n - 1) log g, since dz = sum domega_k - (n - 1) dF."""
        solved = self.subordination(z)
        # where g = 0 some omega is infinite, and L flat
        spread = self.variance**0.5
        flat = np.abs(solved.stieltjes) * spread < FLAT
        if flat.any():
            solved = self.subordination(z + flat * FLAT * spread)
        parts = [
            law._log_potential_above(w) for law, w in zip(self.summands, solved.omega, strict=True)
        ]
        g = solved.stieltjes
        log_g = np.log(np.abs(g)) - 1j * np.abs(np.angle(g))
        return np.sum(parts, 0) + (len(parts) - 1) * log_g

    def density(self, x: ArrayLike) -> Array:
        points = np.asarray(x, float)
        result = np.zeros(points.shape)
        inside = self.gap_of(points.ravel()).reshape(points.shape) < 0
        if inside.any():
            result[inside] = np.maximum(-self.subordination(points[inside]).stieltjes.imag, 0)
        return result / np.pi

    def h_transform(self, z: Complex) -> tuple[Complex, Complex]:
        omega = self.subordination(z).omega
        h = np.stack([law.h_transform(w) for law, w in zip(self.summands, omega, strict=True)])
        # dF/dz = 1 / (sum 1/F_k' - (n - 1))
        slope = 1 / (np.sum(1 / (1 + h[:, 1]), 0) - (len(omega) - 1))
        return np.sum(h[:, 0], 0), slope - 1

    def r_transform(self, y: ArrayLike) -> Array:
        return self.first.r_transform(y) + self.second.r_transform(y)

    def affine(self, scale: float, shift: float = 0.0) -> "FreeSum":
        return FreeSum(self.first.affine(scale, shift), self.second.affine(scale))

    # Gaps and edges -------------------------------------------------------------------------------

    @cached_property
    def _paired_gaps(self) -> tuple[Gaps, Index, Index]:
        return gaps_of_sum(self.first, self.second)

    @property
    def gaps(self) -> Gaps:
        return self._paired_gaps[0]

    def inverse(self, y: Array, gap: Index) -> tuple[Array, Array]:
        _, i, j = self._paired_gaps
        first, second = self.first.inverse(y, i[gap]), self.second.inverse(y, j[gap])
        return first[0] + second[0], first[1] + second[1]

    def _on_gaps(self, x: Array, gap: Index) -> tuple[Array, Array, Array]:
        """g, omega and the residual at real x in the given gaps, from z(g) = x, monotone there."""
        gaps = self.gaps
        left = x <= gaps.right[0]
        outer = gap == 0
        # through infinity, where g = 0, only one side is needed
        low = np.where(outer & ~left, 0, gaps.low[gap])
        high = np.where(outer & left, 0, gaps.high[gap])
        # where g is infinite at an end: it is at most mass / distance
        largest = 1 / (NARROWEST * (gaps.left[0] - gaps.right[0]))
        low, high = np.maximum(low, -largest), np.minimum(high, largest)
        sign = np.where(left, -1.0, 1.0)

        def falling(y: Array, x: Array, gap: Index, sign: Array) -> Array:
            difference, pole = self.inverse(y, gap)[0] - x, gaps.pole[gap]
            with np.errstate(divide="ignore", invalid="ignore"):
                value = np.where(pole == 0, difference, difference + pole / y)
            return np.where(gap == 0, sign * (y * difference + 1), value)

        found = find_root(falling, (low, high), args=(x, gap, sign), tolerances={"xrtol": 4e-16})
        # at an edge round-off may leave no change of sign
        ends = [np.abs(falling(y, x, gap, sign)) for y in (low, high)]
        y = np.where(found.success, found.x, np.where(ends[0] < ends[1], low, high))
        residual = np.abs(falling(y, x, gap, sign)) / (gaps.left[0] - gaps.right[0])
        at_pole = (x == gaps.left[gap]) & np.isinf(gaps.high[gap])
        y = np.where(at_pole, np.inf, y)
        at_pole |= (x == gaps.right[gap]) & np.isinf(gaps.low[gap])
        y = np.where(at_pole & np.isfinite(y), -np.inf, y)
        residual[at_pole] = 0
        return y, _omega(self, np.where(at_pole, 1.0, y), gap), residual


def free_additive_convolution(mu: Law, nu: Law) -> Law:
    """The law of A + B for freely independent A and B with laws `mu` and `nu`.

    Any laws, free sums included. A point mass shifts, two semicircles are one; otherwise the result
    is a `FreeSum`, whose support and atoms are exact and whose `subordination(z)` tells residuals.
    """
    for law, other in ((mu, nu), (nu, mu)):
        if isinstance(law, Atoms) and len(law.positions) == 1:
            return other.affine(1.0, law.mean)
    if isinstance(mu, Semicircle) and isinstance(nu, Semicircle):
        return Semicircle(mu.variance + nu.variance, mu.mean + nu.mean)
    return FreeSum(mu, nu)


def product_wishart(energy: float, ratio: float) -> Law:
    """The law of H_1 of `geometry` (27), R = energy ratio y / (2 - energy ratio^2 y^2) (28).

    By partial fractions R(y) = R_MP(y) - R_MP(-y): the difference of two free copies of a
    Marchenko-Pastur law with ratio 2 `ratio` and jumps +-`ratio` sqrt(energy / 2).
    """
    half = MarchenkoPastur(2 * ratio, (energy / 8) ** 0.5)
    return FreeSum(half, half.affine(-1.0))


def _omega(law: Law, y: Array, gap: Index) -> Array:
    """The real omega_k of the summands of `law` where g = y in `gap`."""
    if isinstance(law, FreeSum):
        _, i, j = law._paired_gaps
        return np.concatenate([_omega(law.first, y, i[gap]), _omega(law.second, y, j[gap])])
    with np.errstate(divide="ignore", invalid="ignore"):
        pole = law.gaps.pole[gap]
        regular = law.inverse(y, gap)[0]
        return np.where(pole == 0, regular, regular + pole / y)[None]


# Upper half plane ---------------------------------------------------------------------------------


def _solve(laws: list[Law], z: Complex, spread: float) -> tuple[Complex, int]:
    """omega (n, N) at z (N,), Im z >= 0, by Newton's method down from Im z + 2 spread.

    A descent (factor, end, steps, most) multiplies the distance to z by `factor` down to `end`
    spreads with `steps` Newton steps each, then takes at most `most` steps at z itself. The few
    points that do not converge descend again, more slowly.
    """
    omega = np.empty((len(laws), z.size), complex)
    means = np.array([law.mean for law in laws])[:, None]
    left, total = np.arange(z.size), 0
    for factor, end, steps, most in DESCENTS:
        w = z[left] - (means.sum() - means) + 2j * spread
        eta = 2 * spread
        while eta > end * spread:
            for _ in range(steps):
                w = _newton(laws, z[left] + 1j * eta, w)[0]
            total += steps
            eta *= factor
        active, failed = left, np.ones(left.size, bool)
        for _ in range(most):
            w, size = _newton(laws, z[active], w)
            total += 1
            done = size <= STEP
            omega[:, active[done]] = w[:, done]
            failed[np.searchsorted(left, active[done])] = False
            active, w = active[~done], w[:, ~done]
            if not active.size:
                break
        omega[:, active] = w
        left = left[failed]
        if not left.size:
            break
    return omega, total


def _newton(laws: list[Law], z: Complex, omega: Complex) -> tuple[Complex, Array]:
    """One step, of Newton where that stays in the half plane; and its relative length."""
    _, slope, error = _equations(laws, z, omega)
    if len(laws) == 2:
        step = -(error + slope[::-1] * error[::-1]) / (1 - slope[0] * slope[1])
    else:  # (1 + h_k') step_k = sum over j of h_j' step_j - error_k
        ratio = slope / (1 + slope)
        shared = -np.sum(ratio * error, 0) / (1 - np.sum(ratio, 0))
        step = (shared - error) / (1 + slope)
    room, fall = omega.imag - z.imag, -step.imag
    with np.errstate(divide="ignore", invalid="ignore"):
        allowed = np.where(fall > 0, room / fall, np.inf).min(0)
    # A step that leaves the half plane early gives way to omega_k <- z + sum over j != k of h_j,
    # which brings every point nearer to the root in the hyperbolic metric, however slowly. So does
    # one that nears a real root inside the support: that repels, |h_1' h_2'| > 1, unlike ours.
    astray = ~np.all(np.isfinite(step), axis=0) | (allowed < 0.5)
    if len(laws) == 2:
        astray |= (allowed < 2) & (np.abs(slope[0] * slope[1]) > 1)
    step = np.where(astray, -error, np.minimum(0.9 * allowed, 1) * step)
    return omega + step, (np.abs(step) / np.abs(omega)).max(0)


def _equations(laws: list[Law], z: Complex, omega: Complex) -> tuple[Complex, Complex, Complex]:
    """h_k, h_k' and omega_k - z - sum over j != k of h_j, each (n, N)."""
    pairs = [law.h_transform(w) for law, w in zip(laws, omega, strict=True)]
    h, slope = np.stack([a for a, _ in pairs]), np.stack([b for _, b in pairs])
    others = h[::-1] if len(laws) == 2 else h.sum(0) - h
    return h, slope, omega - z - others


def _residual(laws: list[Law], z: Complex, omega: Complex, spread: float) -> tuple[Complex, Array]:
    """g and the largest of the equations' errors, relative to spread + |omega|."""
    with np.errstate(divide="ignore", invalid="ignore"):
        h, _, error = _equations(laws, z, omega)
        g = 1 / (z + h.sum(0))
        return g, (np.abs(error) / (spread + np.abs(omega))).max(0)
