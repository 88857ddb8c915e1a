"""Extreme eigenpairs of a symmetric operator, each with its residual.

Lanczos with full re-orthogonalisation: the basis V is orthonormal to round-off, and all
coefficients C = V^T H V are kept, not the three that are non-zero in exact arithmetic. Each product
obeys H v_p = V C[:, p] to round-off, so the residual of a Ritz pair (theta, x = V s),
||H x - theta x|| = ||C s - theta s||, is that of the products as they were computed, asymmetry
included, and costs no further product. |lambda - theta| <= ||H x - theta x|| for some eigenvalue
lambda. Restarts keep the best Ritz vectors (Wu & Simon, SIAM J. Matrix Anal. Appl. 22, 2000).

Products in single precision have errors that no residual of the same products shows. So single
precision finds the vectors, and one double precision product with each gives values and residuals.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hessian_rmt.curvature.unseen import KrylovChain

_EPS = float(np.finfo(np.float64).eps)
_PATIENCE = 15  # products without halving a residual that is near round-off
_CHECK_PRODUCTS = 20
_UNSEEN = 0.01  # probability that a further copy of a wanted eigenvalue goes unseen
_BASIS = 60  # vectors
_COLUMNS = 2**16


RitzPairs = tuple[np.ndarray, np.ndarray, np.ndarray]


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
    certify: bool = True,
) -> Eigenpairs:
    """The k largest, smallest, or k largest and k smallest ("both") eigenpairs.

    operator: anything symmetric with `.shape` and `.matvec` on float64 tensors (P,).
    tol: a pair has converged when ||H x - theta x|| <= tol |theta|, or at the round-off of a
        residual, 8 eps ||H|| with eps that of the products' dtype.
    start: a vector (P,) or vectors (P, j) to start from, e.g. a neighbouring batch's eigenvectors;
        by default one standard normal vector from `seed`.
    basis_size: vectors kept before a restart (default: at least 60).
    check_multiplicity: a Krylov space of one start vector holds one eigenvector of each eigenvalue.
        So once converged, iteration goes on from a random vector until a further eigenvalue at or
        above the wanted ones would have shown with probability 0.99 (at most 20 products, which is
        less than that needs close to the bulk); what shows is iterated to convergence in turn. So
        eigenvalues of any multiplicity are found.
    certify: where the operator's dtype is float32 and it has `.double()`, as `HessianOperator` has,
        take values and residuals from one float64 product with each vector, and go on in float64
        where these miss the tolerance. Without it residuals are those of the float32 products,
        which for a network with a small loss can be several times too small.

    Warns, and says so in `.converged`, when the tolerance was not reached in `max_matvecs` products
    or is below what the products' round-off allows. Raises ValueError for NaN or infinite products.
    """
    if which not in ("largest", "smallest", "both"):
        raise ValueError(f"which is 'largest', 'smallest' or 'both', not {which!r}")
    if k < 1:
        raise ValueError("k is at least 1")
    wanted = k * (2 if which == "both" else 1)
    if max_matvecs < min(wanted, operator.shape[0]):
        raise ValueError(f"max_matvecs is {max_matvecs}, but {wanted} pairs need as many products")
    solver = _Lanczos(operator, start, k, which, seed, basis_size)
    single = solver.epsilon > _EPS and certify and hasattr(operator, "double")
    # certified residuals include the round-off of single precision: leave some room for it
    converged = solver.run(0.7 * tol if single else tol, max_matvecs, check_multiplicity)
    values, residuals, rows = solver.pairs()
    matvecs, size = solver.matvecs, solver.size
    del solver  # and its basis, before that of double precision
    if single:
        values, residuals, rows, more, converged = _in_double_precision(
            operator.double(), rows, k, which, seed, tol, max_matvecs
        )
        matvecs += more
    if operator.shape[0] > size:
        values, residuals, rows = _with_null_space(
            values, residuals, rows, k, which, operator, seed
        )
    if not converged:
        warnings.warn(
            f"Lanczos stopped after {matvecs} products with residuals up to "
            f"{residuals.max():.2e}, above the tolerance {tol:g}",
            RuntimeWarning,
            stacklevel=2,
        )
    order = np.argsort(-values, kind="stable")
    matrix = rows.cpu().numpy()[order].T if vectors else None
    return Eigenpairs(values[order], residuals[order], matrix, matvecs, converged)


def _in_double_precision(
    operator: Any, rows: Tensor, k: int, which: str, seed: int, tol: float, max_matvecs: int
) -> tuple[np.ndarray, np.ndarray, Tensor, int, bool]:
    """Rayleigh-Ritz in the span of `rows` with double precision products; goes on where needed."""
    solver = _Lanczos(operator, rows.T, k, which, seed, None)
    solver.multiply_start()
    converged = solver.run(tol, max_matvecs, check_multiplicity=False)
    return *solver.pairs(), solver.matvecs, converged


def basis_megabytes(parameters: int, k: int) -> float:
    """Memory of the basis in which `top_eigenpairs` finds the k largest or smallest pairs."""
    return min(parameters, max(_BASIS, 4 * k + 8)) * parameters * 8 / 2**20


class _Lanczos:
    """The state of an iteration: basis rows V, C = V^T H V, and what is still to multiply."""

    def __init__(
        self,
        operator: Any,
        start: Any,
        k: int,
        which: str,
        seed: int,
        basis_size: int | None,
    ) -> None:
        self.operator = getattr(operator, "core", operator)
        self.isometry = getattr(operator, "isometry", None)
        self.which, self.size = which, self.operator.shape[0]
        self.device = getattr(self.operator, "device", torch.device("cpu"))
        self.epsilon = torch.finfo(getattr(self.operator, "dtype", torch.float64)).eps
        self.k = min(k, self.size)
        self.wanted_count = min(self.size, self.k * (2 if which == "both" else 1))
        self.capacity = min(self.size, max(basis_size or _BASIS, 4 * self.wanted_count + 8))
        self.C = np.zeros((self.capacity, self.capacity))
        self.V = torch.empty((self.capacity, self.size), dtype=torch.float64, device=self.device)
        # A bound for the norm of what restarts have cut off H V - V C
        self.cut_off = 0.0
        self.filled = 0
        self.processed: list[int] = []
        self.queue: deque[int] = deque()
        self.matvecs = 0
        self._known: tuple[tuple[int, ...], RitzPairs] | None = None
        self.rng = np.random.default_rng(seed)
        for vector in self._start_rows(start, operator.shape[0]):
            self._append(vector)
        if not self.queue:
            self._append_random()
        self.unseen_starts = len(self.queue)

    def _start_rows(self, start: Any, full_size: int) -> Tensor:
        if start is None:
            return self._random()[None]
        matrix = start.cpu().numpy() if isinstance(start, Tensor) else np.asarray(start)
        if matrix.shape[0] != full_size or matrix.ndim > 2:
            raise ValueError(
                f"start has shape {matrix.shape}, not ({full_size},) or ({full_size}, j)"
            )
        rows = self._tensor(matrix.astype(np.float64).reshape(full_size, -1).T)
        if 2 * len(rows) >= self.capacity and self.capacity < self.size:
            raise ValueError(
                f"start has {len(rows)} vectors, but fewer than {self.capacity // 2}, half "
                "of the basis, can be used; give fewer, or a larger basis_size"
            )
        return rows if self.isometry is None else self.isometry.restrict(rows)

    def run(self, tol: float, max_matvecs: int, check_multiplicity: bool) -> bool:
        """Iterate until the wanted pairs have converged; whether they have, and were checked."""
        self._iterate_to(tol, max_matvecs)
        while check_multiplicity and self._converged(tol) and self.filled < self.size:
            if self._nothing_is_missed(tol, max_matvecs):
                break
            if self.matvecs >= max_matvecs:
                return False
            self._iterate_to(tol, max_matvecs)
        return self._converged(tol)

    def multiply_start(self) -> None:
        """Multiply all start vectors at once, where the operator multiplies several."""
        p = list(self.queue)
        images = self.operator.row_products(self.V[p])
        for index, image in zip(p, images, strict=True):
            self._take(index, image)
        self.matvecs += len(p)
        self.unseen_starts = 0

    def pairs(self) -> tuple[np.ndarray, np.ndarray, Tensor]:
        """Wanted Ritz values, residuals, and Ritz vectors as rows in full coordinates."""
        theta, s, residuals = self._ritz_pairs()
        chosen = self._chosen(len(theta))
        coefficients = np.zeros((len(chosen), self.filled))
        coefficients[:, self.processed] = s[:, chosen].T
        rows = self._tensor(coefficients) @ self.V[: self.filled]
        rows = rows if self.isometry is None else self.isometry.extend(rows)
        return theta[chosen], residuals[chosen], rows

    # -- one product ------------------------------------------------------------------------------

    def _expand(self, *, depth_first: bool = False) -> None:
        """Multiply the next vector of the queue and add what is new to the basis."""
        if self.filled == self.capacity and self.capacity < self.size:
            self._restart()
        p = self.queue[0]
        self._take(p, self.operator.matvec(self.V[p]), depth_first=depth_first)
        self.matvecs += 1
        self.unseen_starts = max(0, self.unseen_starts - 1)

    def _take(self, p: int, image: Tensor, *, depth_first: bool = False) -> None:
        """Add the image of basis vector p, the queue's first, to coefficients and basis."""
        if not bool(torch.isfinite(image).all()):
            raise ValueError("the operator returned NaN or infinity: are the weights finite?")
        self.queue.popleft()
        self.processed.append(p)
        image = image.to(self.device, torch.float64)
        norm = float(torch.linalg.vector_norm(image))
        remainder, coefficients = self._orthogonalise(image, self.processed[-2:])
        self.C[: self.filled, p] = coefficients
        beta = float(torch.linalg.vector_norm(remainder))
        if beta > 4 * _EPS * norm and self.filled < self.capacity:
            self.C[self.filled, p] = beta
            self._append_orthonormal(remainder / beta, depth_first=depth_first)
        elif self.filled < self.size:
            self.cut_off += beta

    def _orthogonalise(
        self, vector: Tensor, first: Sequence[int] = ()
    ) -> tuple[Tensor, np.ndarray]:
        """Gram-Schmidt against the basis until round-off is not amplified (twice is enough).

        `first`: indices to begin with, those of the three-term recurrence. What is left is then
        nearly orthogonal to all others, and one sweep over the whole basis does.
        """
        total = torch.zeros(self.filled, dtype=torch.float64, device=self.device)
        for p in first:
            total[p] = self.V[p] @ vector
            vector = torch.add(vector, self.V[p], alpha=-float(total[p]))
        basis = self.V[: self.filled]
        for _ in range(4):
            before = torch.linalg.vector_norm(vector)
            h = basis @ vector
            vector = torch.addmv(vector, basis.T, h, alpha=-1.0)
            total += h
            if torch.linalg.vector_norm(vector) > 0.5 * before:
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

    def _ritz_pairs(self) -> RitzPairs:
        """Ritz values ascending, coefficients (processed, processed), residuals."""
        state = (self.matvecs, len(self.processed), self.filled)
        if self._known is None or self._known[0] != state:
            p = self.processed
            square = torch.from_numpy(self.C[np.ix_(p, p)])
            outside = torch.from_numpy(self.C[np.ix_(list(self.queue), p)])
            # torch's LAPACK: NumPy's threads would fight with torch's own for the processors
            theta, s = torch.linalg.eigh((square + square.T) / 2)
            inside_squared = (square @ s - s * theta).square().sum(dim=0)
            outside_squared = (outside @ s).square().sum(dim=0)
            residuals = (inside_squared + outside_squared).sqrt() + self.cut_off
            self._known = (state, (theta.numpy(), s.numpy(), residuals.numpy()))
        return self._known[1]

    def _chosen(self, count: int, k: int | None = None) -> np.ndarray:
        """Indices of the wanted among `count` ascending Ritz values."""
        k = min(k or self.k, count)
        low = np.arange(k) if self.which != "largest" else np.arange(0)
        high = np.arange(count - k, count) if self.which != "smallest" else np.arange(0)
        return np.union1d(low, high)

    def _converged(self, tol: float) -> bool:
        if self.unseen_starts or len(self.processed) < self.wanted_count:
            return False
        theta, _, residuals = self._ritz_pairs()
        chosen = self._chosen(len(theta))
        floor = 8 * self.epsilon * np.abs(theta).max()
        return bool((residuals[chosen] <= np.maximum(tol * np.abs(theta[chosen]), floor)).all())

    def _iterate_to(self, tol: float, max_matvecs: int) -> None:
        """Expand until converged, out of products, or stuck at their round-off."""
        best, since = np.inf, self.matvecs
        while not self._converged(tol) and self.matvecs < max_matvecs:
            if not self.queue:
                if self.filled == self.size:
                    return
                self._append_random()
            self._expand()
            if len(self.processed) >= self.wanted_count:
                theta, _, residuals = self._ritz_pairs()
                worst = residuals[self._chosen(len(theta))].max()
                if worst < 0.5 * best:
                    best, since = worst, self.matvecs
                near_round_off = worst < 1e4 * self.epsilon * np.abs(theta).max()
                if near_round_off and not self.unseen_starts and self.matvecs > since + _PATIENCE:
                    return

    def _nothing_is_missed(self, tol: float, max_matvecs: int) -> bool:
        """Whether a random direction, deflated from the basis, holds no further wanted eigenvalue.

        Stops once one would have gone unseen with a probability of at most `_UNSEEN`
        (`curvature.unseen`). False when something was found, or products ran out.
        """
        if self.capacity < self.size and self.capacity - self.filled < _CHECK_PRODUCTS + 2:
            self._restart()
        self._append_random(depth_first=True)
        alphas, betas = [], []
        for _ in range(_CHECK_PRODUCTS):
            if not self.queue or (self.filled == self.capacity and self.capacity < self.size):
                return True
            if self.matvecs >= max_matvecs:
                return False
            p, following = self.queue[0], self.filled
            self._expand(depth_first=True)
            if not self._converged(tol):
                return False
            alphas.append(self.C[p, p])
            betas.append(self.C[following, p] if self.filled > following else 0.0)
            chain = KrylovChain(np.array(alphas), np.array(betas), self.size)
            if betas[-1] == 0 or self._unseen_probability(chain) <= _UNSEEN:
                return True
        return True

    def _unseen_probability(self, chain: KrylovChain) -> float:
        """Of a further eigenvalue at or beyond the last wanted one; of both ends together."""
        theta, _, _ = self._ritz_pairs()
        last = {"largest": [-self.k], "smallest": [self.k - 1], "both": [-self.k, self.k - 1]}
        ends = [chain.unseen_probability(theta[i]) for i in last[self.which]]
        # not the sum, whose split would depend on the random vector
        return len(ends) * max(ends)

    # -- restart ----------------------------------------------------------------------------------

    def _restart(self) -> None:
        """Keep the best half of the Ritz vectors, and all vectors still to multiply."""
        theta, s, _ = self._ritz_pairs()
        ends = 2 if self.which == "both" else 1
        room = self.capacity - len(self.queue) - 1
        keep = self._chosen(
            len(theta), min(room, max(self.wanted_count, self.capacity // 2)) // ends
        )
        p, pending = self.processed, list(self.queue)
        s, q = s[:, keep], len(keep)
        square, coupling = self.C[np.ix_(p, p)], self.C[np.ix_(pending, p)]
        lost = square @ s - s @ (s.T @ square @ s)
        self.cut_off += float(np.linalg.norm(lost, 2))
        new_square, new_coupling = s.T @ square @ s, coupling @ s
        turn = np.zeros((q + len(pending), self.filled))
        turn[:q, p] = s.T
        turn[range(q, len(turn)), pending] = 1.0
        turn_rows, before = self._tensor(turn), self.filled
        self.filled = len(turn)
        for first in range(0, self.size, _COLUMNS):  # in place, since the basis may fill the memory
            block = self.V[:, first : first + _COLUMNS]
            block[: self.filled] = turn_rows @ block[:before]
        self.C[:] = 0.0
        self.C[:q, :q], self.C[q : self.filled, :q] = new_square, new_coupling
        self.processed, self.queue = list(range(q)), deque(range(q, self.filled))


def _with_null_space(
    values: np.ndarray,
    residuals: np.ndarray,
    rows: Tensor,
    k: int,
    which: str,
    operator: Any,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, Tensor]:
    """Let exact zeros from outside the isometry's range take the place of pairs they outrank."""
    dimension = operator.shape[0] - operator.core.shape[0]
    zeros = min(2 * k if which == "both" else k, dimension)
    candidates = np.concatenate([values, np.zeros(zeros)])
    order = np.argsort(-candidates, kind="stable")
    top, bottom = order[:k], order[::-1][:k]
    chosen = {"largest": top, "smallest": bottom, "both": np.union1d(top, bottom)}[which]
    if (chosen < len(values)).all():
        return values, residuals, rows
    random = np.random.default_rng(seed).standard_normal((zeros, rows.shape[1]))
    null = torch.as_tensor(random, device=rows.device)
    null = null - operator.isometry.extend(operator.isometry.restrict(null))
    rows = torch.cat([rows, torch.linalg.qr(null.T).Q.T])
    residuals = np.concatenate([residuals, np.zeros(zeros)])
    return candidates[chosen], residuals[chosen], rows[chosen.tolist()]
