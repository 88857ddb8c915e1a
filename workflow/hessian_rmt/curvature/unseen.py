"""What the Krylov space of a random vector can have missed.

m Lanczos steps from a unit vector r give the orthonormal polynomials p_0 ... p_m of the measure
that has the weight (u_i^T r)^2 at each eigenvalue lambda_i of the operator. Whatever else this
measure is, a weight w at x has w (p_0(x)^2 + ... + p_m(x)^2) <= 1 (the Christoffel function; Szego,
Orthogonal Polynomials, 1939, section 3.4). Of a random r in N dimensions, (u^T r)^2 lies below w
with a probability of at most sqrt(2 N w / pi). So an eigenvalue at or beyond x, outside of all Ritz
values, has gone unseen with a probability of at most

    q(x) = sqrt(2 N / (pi (p_0(x)^2 + ... + p_m(x)^2))).

This uses what the steps tell of this operator; a bound for the worst of all operators (Kuczynski &
Wozniakowski, SIAM J. Matrix Anal. Appl. 13, 1992) needs two to four times as many products. The
bound on w holds for every m, so one may stop at the first m for which q is small enough.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigvalsh_tridiagonal
from scipy.optimize import brentq


class KrylovChain:
    """The coefficients of m Lanczos steps from a random vector.

    alphas, betas: (m,) the Lanczos matrix's diagonal and what stands below it, the norm of the last
        remainder included.
    dimension: N, of the space that the start was drawn from.
    """

    def __init__(self, alphas: np.ndarray, betas: np.ndarray, dimension: int) -> None:
        self.alphas, self.betas, self.dimension = alphas, betas, dimension
        ritz = eigvalsh_tridiagonal(alphas, betas[:-1])
        self.low, self.high = float(ritz[0]), float(ritz[-1])

    def unseen_probability(self, x: float) -> float:
        """q(x), at most 1: of an eigenvalue at or beyond x; 1 where x is among the Ritz values."""
        if self.low <= x <= self.high:
            return 1.0
        return float(np.exp(min(0.0, self._log_probability(x))))

    def reach(self, probability: float) -> tuple[float, float]:
        """(low, high) beyond which no eigenvalue lies, except with `probability` for both ends."""
        if self.betas[-1] == 0:  # a random vector's whole Krylov space misses nothing
            return self.low, self.high
        return self._edge(self.low, -1.0, probability), self._edge(self.high, 1.0, probability)

    def _edge(self, start: float, direction: float, probability: float) -> float:
        def excess(distance: float) -> float:
            return self._log_probability(start + direction * distance) - np.log(probability / 2)

        if excess(0.0) <= 0:
            return start
        far = self.high - self.low + float(self.betas.max())
        while excess(far) > 0:
            far *= 2
        within = 1e-12 * far
        return start + direction * (float(brentq(excess, 0.0, far, xtol=within)) + within)

    def _log_probability(self, x: float) -> float:
        """log q(x), without the overflow of polynomials far from their zeros."""
        before, newest, beta_before = 0.0, 1.0, 0.0
        squares, log_scale = 1.0, 0.0  # the sum of squares is squares exp(log_scale)
        for alpha, beta in zip(self.alphas, self.betas, strict=True):
            if beta == 0:
                return -np.inf
            following = ((x - alpha) * newest - beta_before * before) / beta
            before, newest, beta_before = newest, following, beta
            squares += newest**2
            if squares > 1e100:
                before, newest = before / squares**0.5, newest / squares**0.5
                log_scale, squares = log_scale + np.log(squares), 1.0
        return 0.5 * (np.log(2 * self.dimension / np.pi) - np.log(squares) - log_scale)
