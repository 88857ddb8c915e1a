"""epsilon_c, the energy below which the Hessian's law has no mass on the negative axis.

With K(G) = R(G) + 1/G, the inverse of the Stieltjes transform, zero is the left edge of the law
where K = K' = 0; that is where the discriminant of (18) or (30) vanishes at z = 0 (`geometry` (21),
(32)). With s = sqrt(1 + 8 phi), or sqrt(chi) = sqrt(1 + 16 phi - 8 phi^2), both numerators are
multiples of (3 - s)^3 (1 + s), and without the cancellation at phi -> 1

    simplified   epsilon_c = 4 sigma^2 (1 - phi)^3 (1 + s) / (3 + s)^3                       (21)
    refined      epsilon_c = 16 sigma^2 (1 - phi)^3 (1 + s) / (phi (3 + s)^3)                (32)

The index grows like (2 sqrt 2 / 3 pi) |dK/de|^(3/2) |K''|^(-1/2) (epsilon - epsilon_c)^(3/2), both
derivatives at epsilon_c and the double root G_c: for the logarithmic potential L = z G - 1 - log G
- int_0^G R is stationary in G, so d index / d epsilon = (1/pi) Im int_0^G dR/de, and
(G - G_c)^2 = -2 (dK/de) (epsilon - epsilon_c) / K''.
"""

import numpy as np
from numpy.typing import ArrayLike

from hessian_rmt.geometry.laws import Model, check_model
from hessian_rmt.rmt.law import Array


def critical_energy(
    ratio: ArrayLike, *, model: Model = "simplified", variance: float = 1.0
) -> Array:
    """epsilon_c of `geometry` (21), simplified model, or (32), refined model, by `ratio` phi.

    0 < phi < 1; `variance` is the sigma of H_0 as in (8), (29) and (32), a variance: where sigma is
    meant as a standard deviation, as in (6), give its square. Raises ValueError.
    """
    phi = _checked(ratio, model)
    if model == "simplified":
        s = np.sqrt(1 + 8 * phi)
        return 4 * variance**2 * (1 - phi) ** 3 * (1 + s) / (3 + s) ** 3
    s = np.sqrt(1 + 16 * phi - 8 * phi**2)
    return 16 * variance**2 * (1 - phi) ** 3 * (1 + s) / (phi * (3 + s) ** 3)


def critical_energy_printed(
    ratio: ArrayLike, *, model: Model = "simplified", variance: float = 1.0
) -> Array:
    """(21) and (32) as they are printed: equal, up to cancellation as phi -> 1."""
    phi = _checked(ratio, model)
    if model == "simplified":
        return variance**2 * (1 - 20 * phi - 8 * phi**2 + (1 + 8 * phi) ** 1.5) / 16
    chi = 1 + 16 * phi - 8 * phi**2
    return variance**2 * (27 - 18 * chi - chi**2 + 8 * chi**1.5) / (32 * phi * (1 - phi) ** 3)


def critical_energy_near_one(
    ratio: ArrayLike, *, model: Model = "simplified", variance: float = 1.0
) -> Array:
    """The leading term as phi -> 1: 2/27 (1 - phi)^3 (22), or 8/27 sigma^2 (1 - phi)^3 (33)."""
    phi = _checked(ratio, model)
    return (2 if model == "simplified" else 8) / 27 * variance**2 * (1 - phi) ** 3


def index_prefactor(ratio: ArrayLike, *, model: Model = "simplified") -> Array:
    """alpha_0(phi) of `geometry` (20) or (31): index ~ alpha_0 |energy / epsilon_c - 1|^(3/2).

    It does not depend on the variance of H_0. Raises ValueError.
    """
    phi = _checked(ratio, model)
    energy, g = critical_energy(phi, model=model), critical_stieltjes(phi, model=model)
    # with sigma = 1: K = 1/G + 1/(1 - phi G) + R_(H_1)(G)
    curvature = 2 / g**3 + 2 * phi**2 / (1 - phi * g) ** 3
    if model == "simplified":
        by_energy = 2 * g
    else:
        w = 2 - energy * phi**2 * g**2
        by_energy = 2 * phi * g / w**2
        curvature += 2 * energy**2 * phi**3 * g * (6 + energy * phi**2 * g**2) / w**3
    slope = np.abs(by_energy * energy) ** 1.5 / np.sqrt(np.abs(curvature))
    return 2 * 2**0.5 / (3 * np.pi) * slope


def critical_stieltjes(
    ratio: ArrayLike, *, model: Model = "simplified", variance: float = 1.0
) -> Array:
    """G_c = G(0) < 0 at the critical energy: the double root, with s as above

    simplified   (1 - 4 phi - s) / (4 phi (1 - phi) sigma)
    refined      (4 (1 - phi)^2 - 3 - s) / (4 phi (1 - phi) (2 - phi) sigma)

    written without cancellation as phi -> 0, where both tend to -2 / sigma.
    """
    phi = _checked(ratio, model)
    if model == "simplified":
        b, product = 4 * phi - 1, 16 * phi * (1 - phi)
        s = np.sqrt(1 + 8 * phi)
    else:
        b, product = 3 - 4 * (1 - phi) ** 2, 16 * (1 - phi) ** 2 * phi * (2 - phi)
        s = np.sqrt(1 + 16 * phi - 8 * phi**2)
    # b^2 + product = s^2, so b + s = product / (s - b), where b < 0
    total = np.where(b > 0, b + s, product / np.where(b > 0, 1, s - b))
    scale = 4 * phi * (1 - phi) * (1 if model == "simplified" else 2 - phi)
    return -total / (scale * variance)


def _checked(ratio: ArrayLike, model: str) -> Array:
    check_model(model)
    phi = np.asarray(ratio, float)
    if not np.all((phi > 0) & (phi < 1)):
        raise ValueError("the ratio phi must lie in (0, 1): from 1 on, every energy is critical")
    return phi
