"""The curves of `universality` (2.33), and many fits of them side by side."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def curves(log_b: Array, theta: Array, exponent: ArrayLike, w: Array) -> Array:
    """(2.33) for theta (..., k), exponent (...), w (..., 3) at log_b (n,), as (..., n, k)."""
    x = np.exp(-np.multiply.outer(exponent, log_b))[..., None]
    alpha, delta, beta = (w[..., None, None, j] for j in range(3))
    theta = theta[..., None, :]
    return theta + alpha * x + x**2 * (beta / theta + delta / theta**2)


def thetas(gaps: Array) -> Array:
    """theta_i = sum of gaps_j over j >= i."""
    return np.cumsum(gaps[..., ::-1], axis=-1)[..., ::-1]


class Solutions(NamedTuple):
    """Many fits: theta (P, k), exponent (P,), w = (alpha, beta gamma, beta) (P, 3), mse (P,)."""

    theta: Array
    exponent: Array
    w: Array
    mse: Array

    def in_units(self, unit: float, centre: float) -> "Solutions":
        """From lambda / unit against log b - centre to lambda against log b."""
        shift = np.exp(self.exponent * centre)
        scale = np.stack([unit * shift, unit**3 * shift**2, unit**2 * shift**2], axis=-1)
        return Solutions(unit * self.theta, self.exponent, self.w * scale, unit**2 * self.mse)


def joined(solutions: Sequence[Solutions]) -> Solutions:
    return Solutions(*map(np.concatenate, zip(*solutions, strict=True)))


def best(solutions: Solutions, groups: int = 1) -> Solutions:
    """In each of `groups` consecutive blocks the fit of lowest mse, those with beta >= 0 first."""
    mse, infeasible = (a.reshape(groups, -1) for a in (solutions.mse, solutions.w[:, 2] < 0))
    chosen = np.lexsort((mse, infeasible))[:, 0] + mse.shape[1] * np.arange(groups)
    return Solutions(*(values[chosen] for values in solutions))
