"""Gauss quadrature of a spectrum by Lanczos (`deep_learning_limit` 4.2 and appendix C, (11), (25)).

m steps from a unit vector v give H V = V T + b e^T, T tridiagonal with eigenpairs (theta_j, s_j),
b orthogonal to the basis V. Then, with Ritz vectors x_j = V s_j,

    v^T f(H) v = sum_j w_j f(theta_j),   w_j = s_j[first]^2,   f any polynomial of degree < 2 m,
    ||H x_j - theta_j x_j|| = ||b|| |s_j[last]|                (Golub & Meurant, 1994).

For v uniform on the sphere the mean of v^T f(H) v is tr f(H) / N: nodes and weights are a spectral
density, of which a well separated eigenvalue has one node and a weight of about 1 / N.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.linalg import eigh_tridiagonal
from torch import Tensor

_INVARIANT = 1e-12  # a remainder this small, relative to ||H||, ends a Krylov space


@dataclass(frozen=True)
class SpectralQuadrature:
    """Nodes and weights of all probes, ascending within each, and the matrices they come from.

    nodes: (n,) Ritz values, n = probes x steps, less where Krylov spaces end early.
    weights: (n,) of sum one over all probes.
    residuals: (n,) upper bounds of ||H x - theta x||: an eigenvalue lies within each.
    probe: (n,) the probe that a node belongs to.
    diagonal, off_diagonal: (probes, steps) of T, NaN behind an early end; the last entry of
        `off_diagonal` is ||b||. The leading k x k part is T of the first k steps.
    round_off: (probes,) Frobenius norm of V^T H V - T, from products that are not quite symmetric.
    matvecs: products used.
    extreme_vectors: (2, P) Ritz vectors of the smallest and the largest node, or None.
    """

    nodes: np.ndarray
    weights: np.ndarray
    residuals: np.ndarray
    probe: np.ndarray
    diagonal: np.ndarray
    off_diagonal: np.ndarray
    round_off: np.ndarray
    matvecs: int
    extreme_vectors: np.ndarray | None


def lanczos_quadrature(
    operator: Any,
    steps: int = 100,
    *,
    probes: int = 1,
    seed: int = 0,
    start: Any = None,
    vectors: bool = False,
    progress: Callable[[range], Iterable[int]] = iter,
) -> SpectralQuadrature:
    """The spectral density of a symmetric operator as a Gauss rule, averaged over random vectors.

    operator: anything with `.shape` and `.matvec` on float64 tensors (P,); computed in its dtype.
    steps: products per probe, at most the dimension; 2 `steps` moments of each v^T H^j v are exact.
    probes: independent standard normal vectors v, normalised; the first are the same for any
        number.
    start: a vector (P,) in place of a random one. Weights are then those of its own measure, no
        spectral density; from approximate eigenvectors, extreme nodes converge in fewer steps.
    vectors: whether to return the Ritz vectors of the extreme nodes.
    progress: given the range of steps, what is iterated over in its place, such as a progress bar.

    A Krylov space that ends early (of a matrix of low rank, whose null space is one node) is
    complete: its nodes are eigenvalues, and there are fewer. Full re-orthogonalisation in float64:
    memory for `steps` vectors. Residuals are those of the products as computed, so in single
    precision their round-off, about 1e-6 of ||H||, comes on top.

    Raises ValueError for products that are not finite.
    """
    if steps < 1 or probes < 1:
        raise ValueError(f"steps and probes are at least 1, not {steps} and {probes}")
    if start is not None and probes > 1:
        raise ValueError("one start vector makes one probe")
    size = operator.shape[0]
    steps = min(steps, size)
    rng = np.random.default_rng(seed)
    diagonal, off_diagonal = np.full((2, probes, steps), np.nan)
    round_off, rules, extremes = np.zeros(probes), [], []
    device = getattr(operator, "device", torch.device("cpu"))
    for probe in range(probes):
        v = rng.standard_normal(size) if start is None else np.asarray(start, np.float64)
        C, remainder, V = _tridiagonalise(operator, torch.from_numpy(v).to(device), steps, progress)
        m = len(C)
        alpha, beta = np.diag(C), np.append(np.diag(C, -1), remainder)
        diagonal[probe, :m], off_diagonal[probe, :m] = alpha, beta
        T = np.diag(alpha) + np.diag(beta[:-1], 1) + np.diag(beta[:-1], -1)
        round_off[probe] = np.linalg.norm(C - T)
        theta, s = eigh_tridiagonal(alpha, beta[:-1]) if m > 1 else (alpha, np.ones((1, 1)))
        if vectors:
            ends = torch.from_numpy(s[:, [0, -1]].T.copy()).to(device)
            extremes.append((ends @ V).cpu().numpy())
        rules.append((theta, s[0] ** 2 / probes, beta[-1] * np.abs(s[-1]) + round_off[probe]))
    nodes, weights, residuals = (np.concatenate(parts) for parts in zip(*rules, strict=True))
    lengths = [len(theta) for theta, _, _ in rules]
    probe_of_node = np.repeat(np.arange(probes), lengths)
    extreme_vectors = None
    if vectors:
        low, high = probe_of_node[nodes.argmin()], probe_of_node[nodes.argmax()]
        extreme_vectors = np.stack([extremes[low][0], extremes[high][1]])
    return SpectralQuadrature(
        nodes,
        weights,
        residuals,
        probe_of_node,
        diagonal,
        off_diagonal,
        round_off,
        sum(lengths),
        extreme_vectors,
    )


def _tridiagonalise(
    operator: Any, start: Tensor, steps: int, progress: Callable[[range], Iterable[int]]
) -> tuple[np.ndarray, float, Tensor]:
    """C = V^T H V (m, m) as computed, ||b||, and rows V (m, N); m < steps where it ends early."""
    V = torch.empty((steps, len(start)), dtype=torch.float64, device=start.device)
    C = np.zeros((steps, steps))
    V[0] = start / torch.linalg.vector_norm(start)
    norm = 0.0
    for j in progress(range(steps)):
        image = operator.matvec(V[j]).to(torch.float64)
        if not bool(torch.isfinite(image).all()):
            raise ValueError("the operator returned NaN or infinity: are the weights finite?")
        norm = max(norm, float(torch.linalg.vector_norm(image)))
        remainder, C[: j + 1, j] = _orthogonalise(image, V[: j + 1])
        beta = float(torch.linalg.vector_norm(remainder))
        if beta <= _INVARIANT * norm or j + 1 == len(start):
            beta = 0.0 if j + 1 == len(start) else beta
            return C[: j + 1, : j + 1], beta, V[: j + 1]
        if j + 1 < steps:
            C[j + 1, j] = beta
            V[j + 1] = remainder / beta
    return C, beta, V


def _orthogonalise(vector: Tensor, basis: Tensor) -> tuple[Tensor, np.ndarray]:
    """Gram-Schmidt against all rows of `basis`, twice: then round-off is not amplified."""
    total = torch.zeros(len(basis), dtype=torch.float64, device=basis.device)
    for _ in range(2):
        h = basis @ vector
        vector = torch.addmv(vector, basis.T, h, alpha=-1.0)
        total += h
    return vector, total.cpu().numpy()
