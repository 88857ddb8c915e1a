"""V(x) = int log|x - y| dmu(y) on the support, V' = principal value of g.

The potential of the invariant ensemble exp(-N Tr V(X)) dX of real symmetric matrices whose
equilibrium measure is mu (`universality` Appendix A). (A.2) prints V' = g / 2, which contradicts
(A.3) and the weight: the GOE of radius sqrt 2 has V = x^2 / 2 (errata). Off the support (A.3),
S_V(y) = V(y) - int log|x - y| dmu(x) >= c, leaves V free; here S_V is the squared distance from the
support over the variance, which keeps V' continuous and confines the eigenvalues.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hessian_rmt.rmt.law import Array, Law


@dataclass(frozen=True)
class Potential:
    """The potential of the invariant ensemble with equilibrium measure `law`, which has no atoms.

    `constant` is added to V: on the support S_V equals it.
    """

    law: Law
    constant: float = 0.0

    def __post_init__(self) -> None:
        if self.law.atoms:
            raise ValueError("Potential: an equilibrium measure has no atoms")

    def __call__(self, x: ArrayLike) -> Array:
        """V(x)."""
        distance = self._offset(np.asarray(x, float))
        return log_potential(self.law, x) + distance**2 / self.law.variance + self.constant

    def derivative(self, x: ArrayLike) -> Array:
        """V'(x)."""
        distance = self._offset(np.asarray(x, float))
        return self.law.stieltjes(x).real + 2 * distance / self.law.variance

    def effective(self, x: ArrayLike) -> Array:
        """S_V[mu](x) of (A.3): `constant` on the support, larger off it."""
        return self(x) - log_potential(self.law, x)

    def _offset(self, x: Array) -> Array:
        """x less the nearest point of the support."""
        offset = np.full(x.shape, np.inf)
        for left, right in self.law.support:
            here = x - np.clip(x, left, right)
            offset = np.where(np.abs(here) < np.abs(offset), here, offset)
        return offset


def log_potential(law: Law, x: ArrayLike) -> Array:
    """int log|x - y| dmu(y) at real x."""
    return law.log_potential(np.asarray(x, float)).real
