"""The second layer eliminated: critical points of L(W1, W2) are those of F(W1) = min over W2 of L.

L is a least-squares problem in W2 (`geometry` (1), (2)): with h = f(W1 x) and A = h h^T / m,

    W2* = (y h^T / m) A^-1,    grad F = dL/dW1 at W2*,    |grad F| = |grad L| there,
    hess F = H11 - H12 H22^-1 H21,    H22 = I (x) A.

With K as in `networks`, Pi = 1 - h^T A^-1 h / m, U = K e^T / m, Y = K h^T A^-1 / m and
V = delta K^T / m, so that no matrix is larger than n1 n0 by m,

    (hess F)_(ab)(a'b') = (W2^T W2)_aa' (K Pi K^T)_(ab)(a'b') / m - A^-1_aa' (U U^T)_(ab)(a'b')
                          - Y_(ab)a' V_a(a'b') - Y_(a'b')a V_a'(ab) + [bend],

where [bend] is the block of H1_11.

H22 is positive definite where A is, so that H and hess F have equally many negative eigenvalues
(Haynsworth), at most n1 n0 of n1 (n0 + n2): an index of 1/2 in square networks. A factorisation of
hess F takes an eighth of the time of one of H.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hessian_rmt.geometry.networks import ACTIVATIONS, Networks

Array = NDArray[np.float64]


class Point(NamedTuple):
    """F and what its derivatives need, at B first layers. Infinite loss where A is singular."""

    first: Array  # (B, n1, n0)
    second: Array  # W2*, (B, n2, n1)
    z: Array
    h: Array
    slope: Array
    residuals: Array
    delta: Array
    root: Array  # inverse of the Cholesky factor of A, (B, n1, n1)
    loss: Array  # (B,)
    gradient: Array  # (B, n1 n0)

    def take(self, index: Any) -> "Point":
        return Point(*(field[index] for field in self))


@dataclass(frozen=True)
class Eliminated:
    """F for networks that are given as `Networks`; its parameters are W1, row by row."""

    networks: Networks

    def first_layer(self, theta: Array) -> Array:
        """W1 of full parameters (B, P), as (B, n1 n0)."""
        return theta[:, : self.networks.hidden * self.networks.inputs.shape[1]].copy()

    def parameters(self, point: Point) -> Array:
        """(W1, W2*) as full parameters (B, P)."""
        b = len(point.first)
        return np.concatenate([point.first.reshape(b, -1), point.second.reshape(b, -1)], axis=1)

    def at(self, first: Array) -> Point:
        """F at first layers `first` (B, n1 n0)."""
        x, y, m = self.networks.inputs, self.networks.targets, self.networks.inputs.shape[2]
        activation = ACTIVATIONS[self.networks.activation]
        first = first.reshape(len(x), self.networks.hidden, -1)
        z = first @ x
        h = activation.value(z)
        h_t = np.swapaxes(h, 1, 2)
        root = _inverse_root(h @ h_t / m)
        second = (y @ h_t / m) @ np.swapaxes(root, 1, 2) @ root
        residuals = second @ h - y
        delta = np.swapaxes(second, 1, 2) @ residuals
        slope = activation.slope(z, h)
        gradient = (delta * slope) @ np.swapaxes(x, 1, 2) / m
        loss = np.einsum("bim,bim->b", residuals, residuals) / (2 * m)
        regular = np.isfinite(loss)
        loss[~regular] = np.inf
        return Point(
            first, second, z, h, slope, residuals, delta, root, loss, gradient.reshape(len(x), -1)
        )

    def hessian(self, at: Point) -> Array:
        """hess F (B, n1 n0, n1 n0), symmetric to round-off."""
        x = self.networks.inputs
        (b, n0, m), n1 = x.shape, self.networks.hidden
        order = n1 * n0
        k = (at.slope[:, :, None] * x[:, None]).reshape(b, order, m)
        inverse = np.swapaxes(at.root, 1, 2) @ at.root
        y = k @ np.swapaxes(at.h, 1, 2) @ inverse / m
        v = at.delta @ np.swapaxes(k, 1, 2) / m
        u = k @ np.swapaxes(at.residuals, 1, 2) / m
        k -= y @ at.h
        gram = np.swapaxes(at.second, 1, 2) @ at.second / m

        # Axes (a, b, a'b'): what has an index a' alone is repeated over b', so that the innermost
        # loops are long; one network at a time, in memory that stays in the processor's cache.
        def over_b(values: Array) -> Array:
            return np.repeat(values, n0, axis=-1).reshape(n1, -1, order)

        hessian, scratch = np.empty((b, order, order)), np.empty((order, order))
        part = scratch.reshape(n1, n0, order)
        for z in range(b):
            whole = hessian[z].reshape(n1, n0, order)
            np.matmul(k[z], k[z].T, out=hessian[z])
            whole *= over_b(gram[z])
            np.matmul(u[z], u[z].T, out=scratch)
            part *= over_b(inverse[z])
            whole -= part
            np.multiply(over_b(y[z]), v[z].reshape(n1, 1, order), out=part)
            whole -= part
            np.multiply(over_b(v[z].T), y[z].T.reshape(n1, 1, order), out=part)
            whole -= part
        if (bend := ACTIVATIONS[self.networks.activation].bend) is not None:
            bent = at.delta * bend(at.z, at.h) / m
            diagonal = np.einsum("zabac->zabc", hessian.reshape(b, n1, n0, n1, n0))
            diagonal += (bent[:, :, None] * x[:, None]) @ np.swapaxes(x, 1, 2)[:, None]
        return hessian


def _inverse_root(gram: Array) -> Array:
    """R with gram^-1 = R^T R, row by row of the batch; nan where a matrix is singular."""
    try:
        return np.linalg.inv(np.linalg.cholesky(gram))
    except np.linalg.LinAlgError:
        if len(gram) == 1:
            return np.full_like(gram, np.nan)
        return np.concatenate([_inverse_root(one[None]) for one in gram])
