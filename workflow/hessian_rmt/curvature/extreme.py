"""Hundreds of outermost eigenvalues of a symmetric operator H, and a proof that none is missed.

1. Lanczos. All coefficients that are ever subtracted are kept in C, so that, to the round-off of a
   product, H V = V C + b v e^T whether or not the basis V is orthonormal. It is kept orthonormal
   to sqrt(eps) by partial re-orthogonalisation (Simon, Math. Comp. 42, 1984): a recurrence for
   w_j = V^T v_j, from that of the v_j, tells when a sweep over the basis is due,

       b_(j+1) w_(j+1,k) = b_(k+1) w_(j,k+1) + (a_k - a_j) w_(j,k) + b_k w_(j,k-1) - b_j w_(j-1,k).

2. Residuals. With the measured Gram matrix G = V^T V, a Ritz pair (theta, x = V s / ||V s||) obeys
   ||H x - theta x|| <= (||C s - theta s||_G + b |s_m|) / ||s||_G, lost orthogonality included.
3. Blocks. The outermost Ritz values whose residuals are small against the local mean spacing
   (`curvature.certified_run`), with orthonormal vectors X and rho = ||H X - X Theta||_F.
4. Completeness. P = 1 - X X^T. By Weyl's inequality for H and diag(Theta, P H P), the eigenvalues
   of H above lambda_max(P H P) + rho are one for one with Ritz values of the block, each within
   rho of its own. Lanczos products with P H P from a random start bound lambda_max(P H P) except
   with probability p (`curvature.unseen`), and the same below. What the block has beyond these two
   bounds is complete.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hessian_rmt.curvature.certified_run import SHARE, certified_run, local_mean_spacing
from hessian_rmt.curvature.unseen import KrylovChain
from hessian_rmt.errors import UserError

FAILURE = 0.01  # probability p above
FEWEST_CHECKS = 20
_EPS = float(np.finfo(np.float64).eps)
_SEMI_ORTHOGONAL = 1e-8
_INVARIANT = 1e-12  # a remainder this small, relative to ||H||, ends a Krylov space
_COLUMNS = 4096  # of the basis that are rotated at once


@dataclass(frozen=True)
class ExtremeEigenvalues:
    """All Ritz values of a run, and which of them are certified eigenvalues.

    values: (m,) ascending.  residuals: (m,) an eigenvalue lies within of each.
    relative_residuals: (m,) residuals over the local mean spacing.
    bottom, top: lengths of the outermost runs in which all of these are below `share`.
    check_bottom, check_top: extreme Ritz values of the run with these deflated.
    floor, ceiling: except with probability 0.01 the values below `floor`, and above `ceiling`,
        are all eigenvalues there are. An eigenvalue of multiplicity two or more, of which a Krylov
        space sees one vector, lies between the two, as do all values further in.
    orthogonality: max |V^T V - 1| of the basis.  matvecs: products used, the check's included.
    """

    values: np.ndarray
    residuals: np.ndarray
    relative_residuals: np.ndarray
    share: float
    bottom: int
    top: int
    check_bottom: float
    check_top: float
    floor: float
    ceiling: float
    orthogonality: float
    matvecs: int

    @property
    def lower(self) -> np.ndarray:
        """The certified, complete eigenvalues at the bottom, ascending."""
        return self.values[: self.bottom][self.values[: self.bottom] < self.floor]

    @property
    def upper(self) -> np.ndarray:
        """The certified, complete eigenvalues at the top, ascending."""
        run = self.values[len(self.values) - self.top :]
        return run[run > self.ceiling]


def extreme_eigenvalues(
    operator: Any,
    products: int,
    *,
    seed: int = 0,
    check_products: int | None = None,
    share: float = SHARE,
    memory_mb: float = 2000.0,
) -> ExtremeEigenvalues:
    """The outermost eigenvalues that one Lanczos run of `products` products certifies.

    operator: symmetric, with `.shape` and `.matvec` on float64 tensors (P,). Of a `HessianOperator`
        the smaller `core` is used; the exact zeros outside of it lie between floor and ceiling. One
        in single precision is replaced by its `.double()`.
    check_products: for the completeness, an eighth of `products` by default, at least 20.
    share: of the local mean spacing that a residual may reach.

    About half of the products become eigenvalues, fewer where there are fewer: of a small batch's
    Hessian, which is mostly null space, the blocks end at zero. Cost beside them: `products`^2 P
    multiplications a few times over; memory: the basis, `products` vectors, in float64.

    Raises UserError where the basis does not fit in `memory_mb`, or where `products` is not below
    the dimension (all eigenvalues are then as cheap: `exact_spectrum`); ValueError for products
    that are not finite or not symmetric.
    """
    if getattr(operator, "dtype", torch.float64) != torch.float64 and hasattr(operator, "double"):
        operator = operator.double()
    core = getattr(operator, "core", operator)
    checks = max(products // 8, FEWEST_CHECKS) if check_products is None else check_products
    if checks < FEWEST_CHECKS:
        raise ValueError(f"check_products is {checks}, but must be at least {FEWEST_CHECKS}")
    _check_size(core.shape[0], products, checks, memory_mb)
    rng = np.random.default_rng(seed)
    V, C, coupling = _lanczos(core, _random(core, rng), products)
    gram = (V @ V.T).cpu().numpy()
    orthogonality = float(np.abs(gram - np.eye(len(gram))).max())
    if orthogonality > 1e3 * _SEMI_ORTHOGONAL:
        raise ValueError(
            f"the Lanczos basis is orthonormal to {orthogonality:.0e} only: the operator's "
            "products are not symmetric to double precision"
        )
    theta, s, residuals = _ritz_pairs(C, coupling, gram)
    relative = residuals / local_mean_spacing(theta)
    bottom, top = certified_run(relative, share)
    chosen = np.union1d(np.arange(bottom), np.arange(len(theta) - top, len(theta)))
    X = _rotated(V, _orthonormal(s[:, chosen], gram))
    chain = _deflated_chain(core, X, _random(core, rng), checks)
    low, high = chain.reach(FAILURE)
    margin = float(np.linalg.norm(residuals[chosen]))
    outside = [0.0] if operator.shape[0] > core.shape[0] else []
    return ExtremeEigenvalues(
        theta,
        residuals,
        relative,
        share,
        bottom,
        top,
        check_bottom=chain.low,
        check_top=chain.high,
        floor=min([low - margin, *outside]),
        ceiling=max([high + margin, *outside]),
        orthogonality=orthogonality,
        matvecs=len(theta) + len(chain.alphas),
    )


def basis_megabytes(dimension: int, products: int, check_products: int) -> float:
    """Memory of the two bases and of what passes between them."""
    return 8 * dimension * (products + check_products + 8) / 2**20


def _check_size(dimension: int, products: int, checks: int, memory_mb: float) -> None:
    if products >= dimension:
        raise UserError(
            f"{products} products are asked for in a space of dimension {dimension}, which has no "
            "more eigenvalues than that; ask for fewer, or take exact_spectrum"
        )
    needed = basis_megabytes(dimension, products, checks)
    if needed > memory_mb:
        raise UserError(
            f"a basis of {products} vectors of dimension {dimension} takes {needed:.0f} MB, and "
            f"memory_mb is {memory_mb:.0f}; ask for fewer products, a smaller batch or more memory"
        )


def _random(core: Any, rng: np.random.Generator) -> Tensor:
    device = getattr(core, "device", torch.device("cpu"))
    return torch.from_numpy(rng.standard_normal(core.shape[0])).to(device)


def _product(core: Any, v: Tensor) -> Tensor:
    image = core.matvec(v)
    if not bool(torch.isfinite(image).all()):
        raise ValueError("the operator returned NaN or infinity: are the weights finite?")
    return image.to(torch.float64, copy=True)


def _lanczos(core: Any, start: Tensor, steps: int) -> tuple[Tensor, np.ndarray, float]:
    """Rows V (m, N), C (m, m) and b of H V = V C + b v e^T; m < steps where a Krylov space ends."""
    V = torch.empty((steps, len(start)), dtype=torch.float64, device=start.device)
    C = np.zeros((steps, steps))
    overlaps = _Overlaps(steps)
    V[0] = start / torch.linalg.vector_norm(start)
    beta, sweep_again = 0.0, False
    for j in range(steps):
        w = _product(core, V[j])
        if j:
            C[j - 1, j] = beta
            w.sub_(V[j - 1], alpha=beta)
        C[j, j] = alpha = float(V[j] @ w)
        w.sub_(V[j], alpha=alpha)
        beta = float(torch.linalg.vector_norm(w))
        # Both of the recurrence's two last vectors have to be swept clean.
        due = overlaps.next(alpha, beta) > _SEMI_ORTHOGONAL
        if due or sweep_again:
            beta = _sweep(w, V[: j + 1], C[: j + 1, j])
            overlaps.swept(beta)
            sweep_again = not sweep_again
        if beta <= _INVARIANT * overlaps.norm or j + 1 == steps:
            return V[: j + 1], C[: j + 1, : j + 1], beta
        C[j + 1, j] = beta
        V[j + 1] = w / beta
    raise AssertionError("a loop of at least one step returns")


def _sweep(w: Tensor, basis: Tensor, coefficients: np.ndarray | None = None) -> float:
    """Subtract from w its projection on the rows of `basis`, until no digits are lost; its norm."""
    norm = float(torch.linalg.vector_norm(w))
    for _ in range(4):
        before = norm
        h = basis @ w
        w.addmv_(basis.T, h, alpha=-1.0)
        if coefficients is not None:
            coefficients += h.cpu().numpy()
        norm = float(torch.linalg.vector_norm(w))
        if norm > 0.5 * before:
            break
    return norm


class _Overlaps:
    """Estimates of V^T v for the newest basis vector, by the recurrence of the module's head."""

    def __init__(self, steps: int) -> None:
        self.alpha, self.beta = np.zeros(steps), np.zeros(steps + 1)
        self.last, self.newest = np.zeros(steps + 1), np.zeros(steps + 1)
        self.newest[0] = 1.0
        self.j, self.norm = 0, 0.0

    def next(self, alpha: float, beta: float) -> float:
        """Take in the coefficients of one step; the largest overlap of the vector it makes."""
        j, a, b = self.j, self.alpha, self.beta
        a[j], b[j + 1] = alpha, beta
        # a row's sum bounds the norm of the tridiagonal matrix
        self.norm = max(self.norm, b[j] + abs(alpha) + beta)
        noise = 4 * _EPS * self.norm
        grown = b[1 : j + 1] * self.newest[1 : j + 1] + (a[:j] - alpha) * self.newest[:j]
        grown[1:] += b[1:j] * self.newest[: max(j - 1, 0)]
        grown -= b[j] * self.last[:j]
        overlaps = np.zeros_like(self.newest)
        overlaps[:j] = grown + np.copysign(noise, grown)
        overlaps[j] = noise
        overlaps[: j + 1] /= max(beta, _EPS * self.norm)
        overlaps[j + 1] = 1.0
        self.last, self.newest, self.j = self.newest, overlaps, j + 1
        return float(np.abs(overlaps[: j + 1]).max())

    def swept(self, beta: float) -> None:
        """The newest vector has been orthogonalised against all others, leaving the norm beta."""
        self.beta[self.j] = beta
        self.newest[: self.j] = 4 * _EPS


def _ritz_pairs(
    C: np.ndarray, coupling: float, gram: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ritz values ascending, coefficients s (m, m) in columns, residuals."""
    # torch's LAPACK: NumPy's threads would fight with torch's own for the processors
    values, vectors = torch.linalg.eigh(torch.from_numpy((C + C.T) / 2))
    theta, s = values.numpy(), vectors.numpy()
    remainder = C @ s - s * theta
    inside = np.sqrt(np.maximum(np.sum(remainder * (gram @ remainder), axis=0), 0.0))
    norms = np.sqrt(np.sum(s * (gram @ s), axis=0))
    return theta, s, (inside + coupling * np.abs(s[-1])) / norms


def _orthonormal(s: np.ndarray, gram: np.ndarray) -> np.ndarray:
    """Coefficients of orthonormal vectors with the same span as V s."""
    factor = np.linalg.cholesky(s.T @ gram @ s)
    return np.linalg.solve(factor, s.T).T


def _rotated(V: Tensor, s: np.ndarray) -> Tensor:
    """Rows (V^T s)^T in the place of the first rows of V, which are lost: no second basis."""
    coefficients = torch.from_numpy(np.ascontiguousarray(s.T)).to(V.device)
    for columns in V.split(_COLUMNS, dim=1):
        columns[: len(coefficients)] = coefficients @ columns
    return V[: len(coefficients)]


def _deflated_chain(core: Any, X: Tensor, start: Tensor, steps: int) -> KrylovChain:
    """At most `steps` Lanczos steps with P H P from the start's part outside of X."""
    U = torch.empty((steps, len(start)), dtype=torch.float64, device=start.device)
    alphas, betas = np.zeros((2, steps))
    _sweep(start, X)
    U[0] = start / torch.linalg.vector_norm(start)
    m, norm = 0, 0.0
    while m < steps:
        w = _product(core, U[m])
        norm = max(norm, float(torch.linalg.vector_norm(w)))
        w.addmv_(X.T, X @ w, alpha=-1.0)
        coefficients = np.zeros(m + 1)
        betas[m] = _sweep(w, U[: m + 1], coefficients)
        alphas[m] = coefficients[m]
        m += 1
        if betas[m - 1] <= _INVARIANT * norm:
            break
        if m < steps:
            _sweep(w, X)
            U[m] = w / torch.linalg.vector_norm(w)
    return KrylovChain(alphas[:m], betas[:m], len(start))
