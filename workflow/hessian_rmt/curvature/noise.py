"""The noise N = H_batch - H_true of batch Hessians, measured on dense matrices.

`universality` (2.7) models a batch Hessian as A + s(b) X. Here A = E H_batch = H_true, the Hessian
of the whole training split, exactly, since batches are drawn from it with replacement; so N is
s(b) X, and its first moment has mean zero. In coordinates without the exact null space (order R,
`common_coordinates`) are measured the trace, the Frobenius and the operator norm of N, and for some
batches its spectrum and eigenvectors. Powers are taken on a fixed subspace of d dimensions, that of
H_true's large eigenvalues, where the noise's large ones lie too: with M = Q^T N Q and tr the trace
over d,

    tr M^k, k = 1 ... 4, and for two independent batches tr M^2 M'^2, tr M M' M M',

of which `rmt.noise_model` makes cumulants. Whatever holds for them under s(b) X or under averaging
holds on any fixed subspace, and products of order d cost nothing, so many batches can be had.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor, nn

from hessian_rmt.curvature.common_coordinates import CommonCoordinates
from hessian_rmt.curvature.hessian import Loss
from hessian_rmt.curvature.outliers import draw_batch
from hessian_rmt.errors import UserError
from hessian_rmt.jobs import Log
from hessian_rmt.seeds import derive_seed

# Dense matrices of order R that are held at once, in double precision
_MATRICES = 8
SUBSPACE = 300
POWERS = 4
_EPS = float(np.finfo(np.float64).eps)
# What is left of a direction off the exact null space, squared, if anything is
_CAPTURED = 1e-12


@dataclass(frozen=True)
class NoiseGrid:
    """Which batches: those of the outliers' grid with these sizes and seeds 0 ... seeds - 1.

    spectrum_batch_size: the size whose first `spectra` noise matrices are diagonalised, seed 0 with
        eigenvectors.
    directions: number of coordinates q, and of random directions, in overlaps.
    outliers: eigenvalues kept of H_batch, and eigenvectors of H_true that are directions q.
    """

    batch_sizes: Sequence[int]
    seeds: int
    spectrum_batch_size: int
    spectra: int
    directions: int
    outliers: int


def measure_noise(
    run: str,
    epoch: int,
    master: int,
    network: nn.Module,
    loss: Loss,
    inputs: Tensor,
    targets: Tensor,
    grid: NoiseGrid,
    log: Log,
    *,
    memory_mb: float,
) -> dict[str, Any]:
    """Everything that the analysis of a run's noise reads; B batch sizes, S seeds, R order.

    Returns parameters, dimension (R), subspace (d), rank_gap; true_eigenvalues (R,); batch_size
    (B,); trace and square (B, S), tr N and tr N^2 over R; powers (B, S, 4), pair_aabb and pair_abab
    (B, S), of the seeds s and s + 1 (cyclically), on the subspace; extremes (B, S, 2), the noise's
    largest and smallest eigenvalue, and their residuals; outliers (B, S, k) of H_batch;
    noise_eigenvalues (spectra, R) at spectrum_batch_size; direction/{label, kind, captured}
    (Q,) and overlaps (Q, R) = R (q . u_j)^2; complexity/{weight_norm, dimension,
    log_determinant_hessian, log_determinant_gradient, gradient_quadratic}, see `rmt.complexity`.
    Raises UserError where memory_mb would not do.
    """
    H = CommonCoordinates(network, loss, inputs, targets)
    R = H.dimension
    _refuse_memory(R, memory_mb)
    log.line(f"{H.parameters} parameters, {H.parameters - R} exact null directions")
    true = H.hessian()
    mean, covariance = H.gradient_moments()
    table: dict[str, Any] = {
        "parameters": H.parameters,
        "dimension": R,
        "subspace": min(R, SUBSPACE),
        "examples": len(H),
        "rank_gap": np.array(H.rank_gap),
        "true_eigenvalues": torch.linalg.eigvalsh(true).cpu().numpy(),
        "batch_size": np.array(grid.batch_sizes),
        "spectrum_batch_size": grid.spectrum_batch_size,
        "complexity/weight_norm": _weight_norm(network),
    }
    table |= {f"complexity/{k}": v for k, v in _gradient_noise(true, mean, covariance).items()}
    del covariance
    log.line("full Hessian and gradient noise done")
    directions = _directions(H, true, mean, grid, derive_seed(master, run, "directions", epoch))
    table |= {f"direction/{key}": value for key, value in directions.items() if key != "vectors"}

    shape = (len(grid.batch_sizes), grid.seeds)
    table |= {
        "trace": np.empty(shape),
        "square": np.empty(shape),
        "powers": np.empty((*shape, POWERS)),
        "pair_aabb": np.empty(shape),
        "pair_abab": np.empty(shape),
        "extremes": np.empty((*shape, 2)),
        "residuals": np.empty((*shape, 2)),
        "outliers": np.empty((*shape, grid.outliers)),
        "noise_eigenvalues": np.empty((min(grid.spectra, grid.seeds), R)),
    }
    Q = _subspace(true, derive_seed(master, run, "subspace", epoch))
    for i, size in enumerate(log.progress(grid.batch_sizes, label=f"{run} noise")):
        circle = _Pairs()
        for seed in range(grid.seeds):
            batch = H.hessian(draw_batch(master, run, epoch, size, seed, len(H)).to(true.device))
            table["outliers"][i, seed] = _extreme(batch, grid.outliers, "LA").values
            noise = batch.sub_(true)
            ends = _extreme(noise, 2, "BE")
            table["extremes"][i, seed], table["residuals"][i, seed] = ends.values, ends.residuals
            if size == grid.spectrum_batch_size and seed == 0:
                values, vectors = _eigenpairs(noise)
                overlaps = R * (directions["vectors"].T @ vectors).square()
                table["overlaps"] = overlaps.cpu().numpy().astype(np.float32)
                del vectors
                table["noise_eigenvalues"][seed] = values.cpu().numpy()
            elif size == grid.spectrum_batch_size and seed < grid.spectra:
                table["noise_eigenvalues"][seed] = torch.linalg.eigvalsh(noise).cpu().numpy()
            table["trace"][i, seed] = float(noise.trace()) / R
            table["square"][i, seed] = float(noise.square().sum()) / R
            table["powers"][i, seed], mixed = circle.add(Q.T @ noise @ Q)
            table["pair_aabb"][i, seed - 1], table["pair_abab"][i, seed - 1] = mixed
        table["pair_aabb"][i, -1], table["pair_abab"][i, -1] = circle.close()
        norms = np.abs(table["extremes"][i]).max(1)
        log.line(f"batch size {size}: norms of the noise {norms.round(4)}")
    return table


def _subspace(true: Tensor, seed: int) -> Tensor:
    """Q (R, d), orthonormal: the range of H_true^2 on random vectors, the same for all batches."""
    order = len(true)
    start = np.random.default_rng(seed).standard_normal((order, min(order, SUBSPACE)))
    return torch.linalg.qr(true @ (true @ torch.from_numpy(start).to(true)))[0]


class _Pairs:
    """Powers of M_0, M_1, ... as they come, and mixed powers of neighbours on a circle."""

    def __init__(self) -> None:
        self.first: Tensor | None = None
        self.last: Tensor | None = None

    def add(self, M: Tensor) -> tuple[list[float], tuple[float, float]]:
        """tr M^k, and tr M^2 M'^2, tr M M' M M' with the one before (nan for the first)."""
        square = M @ M
        identity = torch.eye(len(M)).to(M)
        pairs = ((M, identity), (M, M), (square, M), (square, square))
        powers = [_trace(a, b) for a, b in pairs]
        mixed = (np.nan, np.nan) if self.last is None else _mixed(self.last, M)
        self.first, self.last = M if self.first is None else self.first, M
        return powers, mixed

    def close(self) -> tuple[float, float]:
        assert self.first is not None
        assert self.last is not None
        return _mixed(self.last, self.first)


def _mixed(a: Tensor, b: Tensor) -> tuple[float, float]:
    product = a @ b
    return _trace(a @ a, b @ b), _trace(product, product.T)


def _trace(a: Tensor, b: Tensor) -> float:
    """tr A B^T."""
    return float((a * b).sum()) / len(a)


class _Extreme(NamedTuple):
    """Eigenvalues, descending, their residuals ||M x - lambda x||, and vectors as columns."""

    values: np.ndarray
    residuals: np.ndarray
    vectors: np.ndarray


def _extreme(matrix: Tensor, k: int, which: str) -> _Extreme:
    """The k largest ("LA") eigenvalues, or those at both ends ("BE")."""

    def product(v: np.ndarray) -> np.ndarray:
        return (matrix @ torch.from_numpy(v).to(matrix)).cpu().numpy()

    order = len(matrix)
    operator = LinearOperator((order, order), matvec=product, dtype=np.float64)
    start = np.random.default_rng(order).standard_normal(order)
    values, vectors = eigsh(operator, k=k, which=which, tol=1e-9, v0=start)
    residuals = np.linalg.norm(product(vectors) - values * vectors, axis=0)
    descending = np.argsort(-values)
    return _Extreme(values[descending], residuals[descending], vectors[:, descending])


def _eigenpairs(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """All eigenvalues, ascending, and vectors; by NumPy's OpenBLAS in half the time of torch's MKL.

    10 s for 18 at order 3,809 on one AMD core. Without vectors MKL is the faster one.
    """
    if matrix.device.type == "cpu":
        values, vectors = np.linalg.eigh(matrix.numpy())
        return torch.from_numpy(values), torch.from_numpy(vectors)
    values, vectors = torch.linalg.eigh(matrix)
    return values, vectors


def _directions(
    H: CommonCoordinates, true: Tensor, gradient: Tensor, grid: NoiseGrid, seed: int
) -> dict[str, Any]:
    """Unit vectors q (R, Q), projected off the exact null space, and what they are.

    Fixed ones: coordinates of the weights drawn at random, but for those that lie in the null
    space; the mean gradient; H_true's top eigenvectors. Random ones are the useless control.
    """
    rng = np.random.default_rng(seed)
    count = min(len(gradient), grid.directions)
    chosen: list[int] = []
    columns, captured = [], []
    for index in rng.permutation(H.parameters):
        unit = true.new_zeros(H.parameters, 1)
        unit[int(index)] = 1.0
        column = H.restrict(unit)[:, 0]
        size = float(column.square().sum())
        if size > _CAPTURED:
            chosen.append(int(index))
            columns.append(column / size**0.5)
            captured.append(size)
        if len(chosen) == count:
            break
    columns.append(gradient / torch.linalg.vector_norm(gradient))
    columns += list(torch.from_numpy(_extreme(true, grid.outliers, "LA").vectors).to(true).T)
    random = torch.from_numpy(rng.standard_normal((len(gradient), count))).to(true)
    columns += list((random / torch.linalg.vector_norm(random, dim=0)).T)
    fixed = [f"coordinate {i}" for i in chosen] + ["gradient"]
    outliers = [f"outlier {i + 1}" for i in range(grid.outliers)]
    kinds = ["coordinate"] * len(chosen) + ["gradient"] + ["outlier"] * grid.outliers
    return {
        "vectors": torch.stack(columns, dim=1),
        "label": np.array(fixed + outliers + [f"random {i}" for i in range(count)]),
        "kind": np.array(kinds + ["random"] * count),
        "captured": np.array(captured + [1.0] * (1 + grid.outliers + count)),
    }


def _gradient_noise(true: Tensor, mean: Tensor, covariance: Tensor) -> dict[str, float]:
    """log|det H|, log det C and g^T C^-1 g where the gradients' covariance C is above round-off.

    g is the mean gradient, H the full Hessian confined to the eigenvectors U of C whose eigenvalues
    are above eps R ||C||: elsewhere neither the determinant nor the density can be computed.
    """
    values, vectors = _eigenpairs(covariance)
    signal = values > _EPS * len(values) * values[-1]
    U, values = vectors[:, signal], values[signal]
    return {
        "dimension": len(values),
        "log_determinant_hessian": float(torch.linalg.slogdet(U.T @ true @ U)[1]),
        "log_determinant_gradient": float(values.log().sum()),
        "gradient_quadratic": float(((mean @ U).square() / values).sum()),
    }


def _weight_norm(network: nn.Module) -> float:
    return float(torch.cat([p.detach().double().flatten() for p in network.parameters()]).norm())


def _refuse_memory(order: int, memory_mb: float) -> None:
    needed = _MATRICES * 8 * order**2 / 2**20
    if needed > memory_mb:
        raise UserError(
            f"measuring the noise of Hessians of order {order:,} needs {needed:,.0f} MB, above the "
            f"{memory_mb:,.0f} MB of noise.memory_mb; raise it or choose a smaller network"
        )
