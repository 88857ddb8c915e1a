"""alpha(epsilon, phi), the fraction of negative eigenvalues (`geometry` (19)), in closed form.

The logarithmic potential of a law is L(z) = z G - 1 - log G - int_0^G R, and alpha is
1 - Im L(i0) / pi. That is, at z = 0,

    pi (alpha - 1) = arg G - (1/phi) arg(1 - sigma phi G) + p,
    p = epsilon Im G^2                                simplified
    p = -(1/2 phi) (arg(1 - c G) + arg(1 + c G))      refined, c = phi sqrt(epsilon / 2)

with principal values and G = G(i0), Im G < 0. At z = 0 not only (18) but (30) too is a cubic,
whose complex pair, which exists for epsilon > epsilon_c only, is G and its conjugate.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hessian_rmt.geometry.critical_energy import critical_energy, index_prefactor
from hessian_rmt.geometry.laws import Model, hessian_polynomial, polynomial_roots
from hessian_rmt.rmt.law import Array, Complex, Law

FEWEST_NODES, MOST_NODES = 64, 8192  # of the quadrature on one band


@dataclass(frozen=True)
class IndexCurve:
    """`index` alpha at each `energy` (same shape), and the law near `critical_energy`:

    `asymptotic` = prefactor (energy / critical_energy - 1)^(3/2), (20) or (31); zero below.
    """

    energy: Array
    index: Array
    asymptotic: Array
    critical_energy: float
    prefactor: float


def index_curve(
    energy: ArrayLike, ratio: float, *, model: Model = "simplified", variance: float = 1.0
) -> IndexCurve:
    """The index at each `energy` epsilon >= 0, for phi = `ratio` in (0, 1).

    `variance` is the sigma of H_0, see `geometry.laws`. Zero up to the critical energy; its error
    is round-off, some 1e-16. Raises ValueError.
    """
    energies = np.asarray(energy, float)
    if not np.all(energies >= 0):
        raise ValueError("index_curve: every energy must be 0 or more")
    critical = float(critical_energy(ratio, model=model, variance=variance))
    prefactor = float(index_prefactor(ratio, model=model))
    index = np.zeros(energies.shape)
    above = energies > critical
    # everything but the ratio energy / variance^2 is a matter of units
    index[above] = _index(energies[above] / variance**2, ratio, model)
    distance = np.maximum(energies / critical - 1, 0)
    return IndexCurve(energies, index, prefactor * distance**1.5, critical, prefactor)


def index_by_integration(law: Law, *, tolerance: float = 1e-10) -> float:
    """The integral of the density of `law` over the negative axis, plus its atoms there.

    Gauss-Legendre after x = left + (right - left) sin^2, which removes the square roots at edges;
    the number of nodes doubles until two results agree to `tolerance`. Raises ArithmeticError.
    """
    total = sum(mass for x, mass in law.atoms if x < 0)
    for left, right in law.support:
        if left >= 0:
            continue
        last, nodes = np.inf, FEWEST_NODES
        while True:
            t, weights = np.polynomial.legendre.leggauss(nodes)
            angle = (t + 1) * np.pi / 4
            width = min(right, 0.0) - left
            values = law.density(left + width * np.sin(angle) ** 2) * np.sin(2 * angle)
            value = float(width * np.pi / 4 * (weights @ values))
            if abs(value - last) <= tolerance:
                break
            if nodes == MOST_NODES:
                raise ArithmeticError(f"index_by_integration: {value} and {last} do not agree")
            last, nodes = value, 2 * nodes
        total += value
    return total


def _index(energy: Array, ratio: float, model: Model) -> Array:
    """The closed form at energies above the critical one, sigma = 1."""
    g = _stieltjes_at_zero(energy, ratio, model)
    angle = np.angle(g) - np.angle(1 - ratio * g) / ratio
    if model == "simplified":
        angle = angle + energy * (g**2).imag
    else:
        c = ratio * np.sqrt(energy / 2)
        angle = angle - (np.angle(1 - c * g) + np.angle(1 + c * g)) / (2 * ratio)
    return 1 + angle / np.pi


def _stieltjes_at_zero(energy: Array, ratio: float, model: Model) -> Complex:
    rows = [hessian_polynomial(0.0, e, ratio, model=model)[-4:] for e in energy]
    roots = polynomial_roots(np.array(rows).reshape(-1, 4))
    lowest = roots.imag.argmin(-1)
    return np.take_along_axis(roots, lowest[:, None], -1)[:, 0]
