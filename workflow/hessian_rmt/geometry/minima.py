"""Minima of networks by Newton's method with a shifted Hessian, on F(W1) = min over W2 of L.

    (S + mu I) p = -g,    g = grad F, S = hess F, mu large enough that S + mu I > 0,

steps that lower F are taken, and mu follows how well F is predicted. Where two units become
parallel, A becomes singular and W2 grows without bound: such a run has an infimum and no minimum.
Its energy has converged long before, its gradient and Hessian have not.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from hessian_rmt.geometry.elimination import Eliminated
from hessian_rmt.geometry.networks import Networks

Array = NDArray[np.float64]
TRIES = 12
LEAST_GAIN = 1e-4


@dataclass(frozen=True)
class Minima:
    """`theta` (B, P), `loss`, `gradient_squared`, `steps`, and `smallest`, the lowest eigenvalue of
    the Hessian of F, not far below zero at a minimum (all (B,))."""

    theta: Array
    loss: Array
    gradient_squared: Array
    steps: NDArray[np.int64]
    smallest: Array


def find_minima(
    networks: Networks, theta: Array, *, tolerance: float = 1e-12, max_steps: int = 300
) -> Minima:
    """Descend from `theta` (B, P) to |grad L|^2 < `tolerance`, or for `max_steps`."""
    x = Eliminated(networks).first_layer(theta)
    steps = np.zeros(networks.count, np.int64)
    for i in range(networks.count):  # the Hessians of one network fill the processor's cache
        x[i], steps[i] = _descend(
            Eliminated(networks.take([i])), x[i : i + 1], tolerance, max_steps
        )
    eliminated = Eliminated(networks)
    at = eliminated.at(x)
    smallest = [
        np.linalg.eigvalsh(Eliminated(networks.take([i])).hessian(at.take([i])))[0, 0]
        for i in range(networks.count)
    ]
    full = eliminated.parameters(at)
    loss, gradient = networks.loss_and_gradient(full)
    squared = np.einsum("zi,zi->z", gradient, gradient)
    return Minima(full, loss, squared, steps, np.array(smallest))


def _descend(
    eliminated: Eliminated, x: Array, tolerance: float, max_steps: int
) -> tuple[Array, int]:
    at, shift = eliminated.at(x), 1.0
    for step in range(max_steps):
        gradient = at.gradient[0]
        if gradient @ gradient < tolerance:
            return at.first.reshape(-1), step
        hessian = eliminated.hessian(at)[0]
        for _ in range(TRIES):
            matrix = hessian.copy()
            matrix.ravel()[:: len(matrix) + 1] += shift
            factor, problem = lapack.dpotrf(matrix.T, overwrite_a=1)
            if problem:
                shift *= 4
                continue
            move = -lapack.dpotrs(factor, gradient)[0]
            trial = eliminated.at(at.first.reshape(1, -1) + move)
            predicted = -(gradient @ move + move @ hessian @ move / 2)
            gain = (at.loss[0] - trial.loss[0]) / predicted if predicted > 0 else -1.0
            shift *= 2.0 if gain < 0.25 else 1 / 3 if gain > 0.75 else 1.0
            if gain > LEAST_GAIN:
                at = trial
                break
        else:
            return at.first.reshape(-1), step
    return at.first.reshape(-1), max_steps
