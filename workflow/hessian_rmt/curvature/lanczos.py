"""Extreme eigenpairs of a symmetric operator, each with its residual.

Lanczos with full re-orthogonalisation: the basis V is orthonormal to round-off, and all
coefficients C = V^T H V are kept, not the three that are non-zero in exact arithmetic. Each product
obeys H v_p = V C[:, p] to round-off, so the residual of a Ritz pair (theta, x = V s), ||H x - theta
x|| = ||C s - theta s||, is that of the products as they were computed, asymmetry included, and
costs no further product. |lambda - theta| <= ||H x - theta x|| for some eigenvalue lambda. Restarts
keep the best Ritz vectors (Wu & Simon, SIAM J. Matrix Anal. Appl. 22, 2000).
"""

from __future__ import annotations

import warnings
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Eigenpairs:
    """Eigenvalues with certificates.

    values: (k,) descending, float64.  residuals: (k,) ||H x - theta x||: an eigenvalue lies within.
    vectors: (P, k) orthonormal columns, or None.  matvecs: products used.
    converged: whether every residual is below its tolerance.
    """

    values: np.ndarray
    residuals: np.ndarray
    vectors: np.ndarray | None
    matvecs: int
    converged: bool


def top_eigenpairs(
    operator: Any,
    k: int = 5,
    *,
    which: str = "largest",
    tol: float = 1e-5,
    start: Any = None,
    seed: int = 0,
    vectors: bool = False,
    basis_size: int | None = None,
    max_matvecs: int = 2000,
    check_multiplicity: bool = True,
) -> Eigenpairs:
    """The k largest, smallest, or k largest and k smallest ("both") eigenpairs.

    operator: anything symmetric with `.shape` and `.matvec` on float64 tensors (P,).
    tol: a pair has converged when ||H x - theta x|| <= tol |theta|, or has reached the round-off of
    the
        operator's products, eps ||H|| with eps that of its dtype.
    start: a vector (P,) or vectors (P, j) to start from, e.g. a neighbouring batch's eigenvectors;
        by default one standard normal vector from `seed`.
    basis_size: vectors kept before a restart (default: at least 60).
    check_multiplicity: a Krylov space of one start vector holds one eigenvector of each eigenvalue.
        So once converged, a random vector is added, and iteration goes on from it until it is clear
        that it brings nothing larger, a few products; what it brings is iterated to convergence in
        turn. Finds eigenvalues of any multiplicity, with overwhelming probability for those
        separated from the bulk.

    Warns, and says so in `.converged`, when `max_matvecs` did not suffice.
    """
    if which not in ("largest", "smallest", "both"):
        raise ValueError(f"which is 'largest', 'smallest' or 'both', not {which!r}")
    if k < 1:
        raise ValueError("k is at least 1")
    core, isometry = getattr(operator, "core", operator), getattr(operator, "isometry", None)
    size, full_size = core.shape[0], operator.shape[0]
    device = getattr(core, "device", torch.device("cpu"))
    if start is not None:
        start = torch.as_tensor(np.ascontiguousarray(start), dtype=torch.float64, device=device)
        start = start.reshape(full_size, -1).T
        start = start if isometry is None else isometry.restrict(start)
    lanczos = _Lanczos(core, start, k, which, seed, device, basis_size)
    converged = lanczos.run(tol, max_matvecs, check_multiplicity)
    values, residuals, coefficients = lanczos.wanted()
    rows = lanczos.vectors(coefficients) if vectors else None
    if rows is not None and isometry is not None:
        rows = isometry.extend(rows)
    if full_size > size:
        values, residuals, rows = _with_null_space(
            values, residuals, rows, k, which, full_size - size, isometry, seed
        )
    if not converged:
        warnings.warn(
            f"Lanczos stopped after {lanczos.matvecs} products with residuals up to "
            f"{residuals.max():.2e}, above the tolerance {tol:g}",
            RuntimeWarning,
            stacklevel=2,
        )
    order = np.argsort(-values, kind="stable")
    matrix = None if rows is None else rows.cpu().numpy()[order].T
    return Eigenpairs(values[order], residuals[order], matrix, lanczos.matvecs, converged)


class _Lanczos:
    """The state of an iteration: basis rows V, C = V^T H V, and what is still to multiply."""

    def __init__(
        self,
        operator: Any,
        start: Tensor | None,
        k: int,
        which: str,
        seed: int,
        device: torch.device,
        basis_size: int | None,
    ) -> None:
        self.operator, self.which, self.device = operator, which, device
        self.size = operator.shape[0]
        self.k = min(k, self.size)
        ends = 2 if which == "both" else 1
        self.capacity = min(self.size, max(basis_size or 60, 4 * ends * self.k + 8))
        self.V = torch.empty(
            (min(self.capacity, 32), self.size), dtype=torch.float64, device=device
        )
        self.C = np.zeros((self.capacity, self.capacity))
        # What restarts have cut off each column's H v - V C[:, p]
        self.defect = np.zeros(self.capacity)
        self.filled = 0
        self.processed: list[int] = []
        self.queue: deque[int] = deque()
        self.matvecs = 0
        self.rng = np.random.default_rng(seed)
        self.epsilon = torch.finfo(getattr(operator, "dtype", torch.float64)).eps
        for vector in [self._random()] if start is None else start:
            self._append(vector)
        if not self.queue:
            self._append_random()

    def run(self, tol: float, max_matvecs: int, check_multiplicity: bool) -> bool:
        """Iterate until the wanted pairs have converged; whether they have."""
        self._iterate_to(tol, max_matvecs)
        while check_multiplicity and self._converged(tol) and self.filled < self.size:
            if not self._new_direction_brings_more(tol, max_matvecs):
                break
            self._iterate_to(tol, max_matvecs)
        return self._converged(tol)

    def wanted(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ritz values, residuals and coefficients (processed, k) of the wanted pairs."""
        theta, s, residuals = self._ritz_pairs()
        chosen = self._chosen(len(theta))
        return theta[chosen], residuals[chosen], s[:, chosen]

    def vectors(self, coefficients: np.ndarray) -> Tensor:
        """The Ritz vectors with the given coefficients, as rows."""
        return self._tensor(coefficients.T) @ self.V[self.processed]

    # -- one product ------------------------------------------------------------------------------

    def _expand(self, *, depth_first: bool = False) -> None:
        """Multiply the next vector of the queue and add what is new to the basis."""
        if self.filled == self.capacity and self.capacity < self.size:
            self._restart()
        p = self.queue.popleft()
        image = self.operator.matvec(self.V[p]).to(self.device, torch.float64)
        self.matvecs += 1
        if not bool(torch.isfinite(image).all()):
            raise ValueError("the operator returned NaN or infinity: are the weights finite?")
        self.processed.append(p)
        norm = float(torch.linalg.vector_norm(image))
        remainder, coefficients = self._orthogonalise(image)
        self.C[: self.filled, p] = coefficients
        beta = float(torch.linalg.vector_norm(remainder))
        if beta > 4 * _EPS * norm and self.filled < self.capacity:
            self.C[self.filled, p] = beta
            self._append_orthonormal(remainder / beta, depth_first=depth_first)
        else:
            self.defect[p] += beta if self.filled < self.size else 0.0

    def _orthogonalise(self, vector: Tensor) -> tuple[Tensor, np.ndarray]:
        """Gram-Schmidt against the basis, twice, or more often while round-off is amplified."""
        basis = self.V[: self.filled]
        total = torch.zeros(self.filled, dtype=torch.float64, device=self.device)
        norm = torch.linalg.vector_norm(vector)
        for sweep in range(4):
            h = basis @ vector
            vector = torch.addmv(vector, basis.T, h, alpha=-1.0)
            total += h
            before, norm = norm, torch.linalg.vector_norm(vector)
            if sweep > 0 and norm > 0.5 * before:
                break
        return vector, total.cpu().numpy()

    def _append(self, vector: Tensor) -> None:
        """Add a start vector, unless it is in the span already."""
        vector = vector / torch.linalg.vector_norm(vector).clamp_min(
            torch.finfo(torch.float64).tiny
        )
        remainder, _ = self._orthogonalise(vector)
        norm = torch.linalg.vector_norm(remainder)
        if norm > 1e-8 and self.filled < self.capacity:
            self._append_orthonormal(remainder / norm, depth_first=False)

    def _append_orthonormal(self, vector: Tensor, *, depth_first: bool) -> None:
        if self.filled == len(self.V):
            grown = min(self.capacity, 2 * len(self.V))
            V = torch.empty((grown, self.size), dtype=torch.float64, device=self.device)
            V[: self.filled] = self.V
            self.V = V
        self.V[self.filled] = vector
        (self.queue.appendleft if depth_first else self.queue.append)(self.filled)
        self.filled += 1

    def _append_random(self, *, depth_first: bool = False) -> int:
        """Add a random direction orthogonal to the basis; its index."""
        if self.filled == self.capacity and self.capacity < self.size:
            self._restart()
        remainder, _ = self._orthogonalise(self._random())
        self._append_orthonormal(
            remainder / torch.linalg.vector_norm(remainder), depth_first=depth_first
        )
        return self.filled - 1

    def _random(self) -> Tensor:
        return self._tensor(self.rng.standard_normal(self.size))

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(array), device=self.device)

    # -- Ritz pairs -------------------------------------------------------------------------------

    def _ritz_pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ritz values ascending, coefficients (processed, processed), residuals."""
        p = self.processed
        square = self.C[np.ix_(p, p)]
        theta, s = np.linalg.eigh((square + square.T) / 2)
        inside_squared = ((square @ s - s * theta) ** 2).sum(axis=0)
        outside_squared = ((self.C[np.ix_(list(self.queue), p)] @ s) ** 2).sum(axis=0)
        residuals = np.sqrt(inside_squared + outside_squared) + self.defect[p] @ np.abs(s)
        return theta, s, residuals

    def _chosen(self, count: int, k: int | None = None) -> np.ndarray:
        """Indices of the wanted among `count` ascending Ritz values."""
        k = min(k or self.k, count)
        low = np.arange(k) if self.which != "largest" else np.arange(0)
        high = np.arange(count - k, count) if self.which != "smallest" else np.arange(0)
        return np.union1d(low, high)

    def _converged(self, tol: float) -> bool:
        if len(self.processed) < min(self.k * (2 if self.which == "both" else 1), self.size):
            return False
        theta, _, residuals = self._ritz_pairs()
        chosen = self._chosen(len(theta))
        floor = self.epsilon * np.abs(theta).max()
        return bool((residuals[chosen] <= np.maximum(tol * np.abs(theta[chosen]), floor)).all())

    def _iterate_to(self, tol: float, max_matvecs: int) -> None:
        while not self._converged(tol) and self.matvecs < max_matvecs:
            if not self.queue:
                if self.filled == self.size:
                    return
                self._append_random()
            self._expand()

    def _new_direction_brings_more(self, tol: float, max_matvecs: int) -> bool:
        """Whether a random direction, deflated from the basis, holds a further wanted eigenvalue.

        Iterates from it until its Ritz values, residuals added, stay clear of the wanted ones, or
        six products after which an eigenvalue missed beyond the bulk's edge would have shown.
        """
        known = np.sort(self.wanted()[0])
        self._append_random(depth_first=True)
        first = self.matvecs
        while self.queue and self.matvecs < min(first + 6, max_matvecs):
            self._expand(depth_first=True)
            if not self._converged(tol):
                return True
        values = np.sort(self.wanted()[0])
        scale = max(np.abs(values).max(), np.abs(known).max())
        return bool((np.abs(values - known) > 2 * max(tol, self.epsilon) * scale).any())

    # -- restart ----------------------------------------------------------------------------------

    def _restart(self) -> None:
        """Keep the best half of the Ritz vectors, and all vectors still to multiply."""
        theta, s, _ = self._ritz_pairs()
        ends = 2 if self.which == "both" else 1
        keep = self._chosen(len(theta), max(self.k, self.capacity // (2 * ends)))
        keep = keep[: self.capacity - len(self.queue) - 1]
        p, pending = self.processed, list(self.queue)
        s, q = s[:, keep], len(keep)
        square, coupling = self.C[np.ix_(p, p)], self.C[np.ix_(pending, p)]
        lost = square @ s - s @ (s.T @ square @ s)
        defect = np.linalg.norm(lost, axis=0) + self.defect[p] @ np.abs(s)
        new_square, new_coupling = s.T @ square @ s, coupling @ s
        kept_rows = torch.cat([self._tensor(s.T) @ self.V[p], self.V[pending]])
        self.filled = q + len(pending)
        self.V[: self.filled] = kept_rows
        self.C[:], self.defect[:] = 0.0, 0.0
        self.C[:q, :q], self.C[q : self.filled, :q] = new_square, new_coupling
        self.defect[:q] = defect
        self.processed, self.queue = list(range(q)), deque(range(q, self.filled))


def _with_null_space(
    values: np.ndarray,
    residuals: np.ndarray,
    rows: Tensor | None,
    k: int,
    which: str,
    dimension: int,
    isometry: Any,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, Tensor | None]:
    """Let exact zeros from outside the isometry's range take the place of pairs they outrank."""
    zeros = min(2 * k if which == "both" else k, dimension)
    candidates = np.concatenate([values, np.zeros(zeros)])
    order = np.argsort(-candidates, kind="stable")
    top, bottom = order[:k], order[::-1][:k]
    # A zero that would displace another zero is no gain; prefer the pairs that were computed.
    chosen = {"largest": top, "smallest": bottom, "both": np.union1d(top, bottom)}[which]
    all_residuals = np.concatenate([residuals, np.zeros(zeros)])
    if rows is not None:
        random = np.random.default_rng(seed).standard_normal((zeros, rows.shape[1]))
        null = torch.as_tensor(random, device=rows.device)
        null = null - isometry.extend(isometry.restrict(null))
        null = torch.linalg.qr(null.T).Q.T
        rows = torch.cat([rows, null])[torch.as_tensor(chosen.copy(), device=rows.device)]
    return candidates[chosen], all_residuals[chosen], rows
