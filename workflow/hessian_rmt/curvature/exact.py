"""The whole spectrum of a batch Hessian, with its zeros counted instead of computed.

An eigensolver returns an exact zero as anything up to eps P ||H||, and such round-off passes the
cut of 1e-20 that published spectra use (`applicability` section 6). So null directions that follow
from the network's structure are taken out first, by an isometry T with H = T K T^T: they are the
kind ``structural_zero``. The eigenvalues of K above the floor

    eps dim(K) ||K||, or (eps max(shape))^2 ||K|| where they are squared singular values of F,
    K = F F^T,

are ``signal``; what remains below is ``round_off``, of which nothing but its size is known.

With ``reduce=False`` H itself goes to the eigensolver, P x P from products by automatic
differentiation: the spectra as published, the control arm.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hessian_rmt.curvature import exact_blocks
from hessian_rmt.curvature.exact_reduction import Perceptron, as_perceptron, contrast_basis, reduce
from hessian_rmt.curvature.hessian import HessianOperator, Loss
from hessian_rmt.curvature.input_span import restrict_to_input_span
from hessian_rmt.errors import UserError

_EPS = float(np.finfo(np.float64).eps)
# Columns per batched product: beyond this the gradient's intermediates leave the caches.
_COLUMNS = 128
# Singular values of F cost more than eigenvalues of F F^T once F is this much longer than wide.
_FACTOR_ASPECT = 4
# A layer is compressed where that leaves at most this fraction of its dimension.
_WORTHWHILE = 0.6

Extension = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class ExactSpectrum:
    """All eigenvalues of a Hessian, and what each of them is.

    eigenvalues: (P,) ascending, float64; structural zeros are 0.0.
    kind: (P,) "signal" | "structural_zero" | "round_off".
    floor: size below which an eigenvalue of the solver may be round-off.
    dimension: order of the matrix that was solved; P - dimension zeros are structural.
    rank_gap: largest relative singular value of inputs taken for zero, smallest taken for none.
    build_seconds, solve_seconds: for the matrix, and for its eigenvalues.
    vectors, vector_values: (P, dimension) orthonormal columns in the network's own parameters, and
        (dimension,) their ascending eigenvalues; None unless asked for. Structural zeros have no
        columns: any basis of the complement would do.
    """

    eigenvalues: np.ndarray
    kind: np.ndarray
    floor: float
    dimension: int
    rank_gap: tuple[float, float]
    build_seconds: float
    solve_seconds: float
    vectors: np.ndarray | None
    vector_values: np.ndarray | None


@dataclass(frozen=True)
class _Problem:
    """K (this triangle), or F with K = F F^T, and how vectors extend to all parameters."""

    matrix: Tensor
    extend: Extension
    factored: bool = False
    triangle: str = "U"
    rank_gap: tuple[float, float] = (0.0, 1.0)


def exact_spectrum(
    network: nn.Module,
    loss: Loss,
    inputs: Tensor | Iterable[tuple[Tensor, Tensor]],
    targets: Tensor | None = None,
    *,
    reduce: bool = True,
    vectors: bool = False,
    micro_batch: int | None = None,
    memory_mb: float = 12000.0,
) -> ExactSpectrum:
    """All P eigenvalues of the Hessian of a network's mean loss, in float64.

    network: any; a copy in float64 is used. Perceptrons (`networks.mlp`) under
        `torch.nn.functional.cross_entropy` with class labels have their Hessian assembled by layers
        on the smallest exact coordinates; others column by column, on the inputs' span, without
        logit shifts and without parameters of no influence (zero rows).
    inputs, targets: tensors, or `inputs` an iterable of such pairs, which are taken together.
    reduce: False for the plain P x P matrix.
    vectors: eigenvectors too, P x dimension numbers more.
    micro_batch: examples at a time; by default as many as the caches like.
    memory_mb: raises UserError if more would be needed, or if weights or inputs are not finite.

    >>> network = nn.Sequential(nn.Linear(3, 2))
    >>> x, y = torch.randn(4, 3), torch.tensor([0, 1, 1, 0])
    >>> spectrum = exact_spectrum(network, F.cross_entropy, x, y)
    >>> spectrum.dimension, list(spectrum.kind).count("structural_zero")  # of 8 parameters
    (4, 4)
    """
    start = perf_counter()
    x, y = _tensors(inputs, targets)
    parameters = sum(p.numel() for p in network.parameters())
    _refuse_what_is_not_finite(network, x)
    device = next(network.parameters()).device
    x, y = x.to(device), y.to(device)
    perceptron = as_perceptron(network, x) if reduce and loss is F.cross_entropy else None
    limits = _Limits(parameters, memory_mb, vectors)
    if perceptron is not None and _are_labels(y, len(perceptron.weights[-1])):
        problem = _perceptron_problem(
            perceptron, x.flatten(1).double(), y.long(), micro_batch, limits
        )
    else:
        network = copy.deepcopy(network).double()
        x = x.double() if x.is_floating_point() else x
        y = y.double() if y.is_floating_point() else y
        problem = _general_problem(network, loss, x, y, micro_batch, limits, plain=not reduce)
    if not bool(torch.isfinite(problem.matrix.sum())):
        raise UserError("the Hessian holds NaN or infinity: the loss overflows at these weights")
    built = perf_counter()
    values, basis, floor = _solve(problem, vectors)
    solved = perf_counter()
    extended = None if basis is None else problem.extend(basis).cpu().numpy()
    eigenvalues, kind = _with_structural_zeros(values, floor, parameters)
    return ExactSpectrum(
        eigenvalues=eigenvalues,
        kind=kind,
        floor=floor,
        dimension=len(values),
        rank_gap=problem.rank_gap,
        build_seconds=built - start,
        solve_seconds=solved - built,
        vectors=extended,
        vector_values=None if extended is None else values,
    )


@dataclass(frozen=True)
class _Limits:
    """The memory that a matrix of order R may take: itself, its blocks, LAPACK's copy."""

    parameters: int
    memory_mb: float
    vectors: bool

    def refuse(self, dimension: int, *, besides: int = 0) -> None:
        """Raise if a matrix of this order, with `besides` numbers more, does not fit."""
        numbers = (
            besides
            + 3 * dimension**2
            + self.vectors * (2 * dimension**2 + self.parameters * dimension)
        )
        needed = numbers * 8 / 2**20
        if needed > self.memory_mb:
            raise UserError(
                f"the exact spectrum of {self.parameters:,} parameters needs a matrix of order "
                f"{dimension:,} and {needed:,.0f} MB, above the {self.memory_mb:,.0f} MB allowed; "
                "use Lanczos instead: the rule `density` for the spectral density, `outliers` for "
                "the largest eigenvalues"
            )


# -- the matrix -----------------------------------------------------------------------------------


def plain_hessian(
    network: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor, *, memory_mb: float = 12000.0
) -> Tensor:
    """The P x P Hessian itself, float64, column by column; refused as in `exact_spectrum`."""
    parameters = sum(p.numel() for p in network.parameters())
    limits = _Limits(parameters, memory_mb, vectors=False)
    network = copy.deepcopy(network).double()
    x = inputs.double() if inputs.is_floating_point() else inputs
    y = targets.double() if targets.is_floating_point() else targets
    return _general_problem(network, loss, x, y, None, limits, plain=True).matrix


def _perceptron_problem(
    perceptron: Perceptron, x: Tensor, y: Tensor, micro_batch: int | None, limits: _Limits
) -> _Problem:
    micro_batch = micro_batch or exact_blocks.default_micro_batch(perceptron)
    reduction, batch = reduce(perceptron, x, y, micro_batch)
    sizes, columns = reduction.sizes, len(y) * reduction.contrasts.shape[1]
    if len(sizes) == 1 and 0 < columns <= _FACTOR_ASPECT * sizes[0]:
        limits.refuse(max(columns, sizes[0]))
        factor = exact_blocks.gauss_newton_factor(perceptron, reduction, batch, 0)
        return _Problem(factor, reduction.extend, factored=True, rank_gap=reduction.rank_gap)
    large = max(range(len(sizes)), key=sizes.__getitem__)
    compressed_size = columns + sum(sizes) - sizes[large]
    # Only ReLU's own blocks are Gauss-Newton, of rank n (C - 1) at most
    piecewise_linear = set(perceptron.activations) <= {nn.ReLU}
    if not piecewise_linear or compressed_size > _WORTHWHILE * sizes[large]:
        limits.refuse(sum(sizes))
        blocks = exact_blocks.assemble(perceptron, reduction, batch, micro_batch)
        return _Problem(exact_blocks.join(blocks), reduction.extend, rank_gap=reduction.rank_gap)
    # A QR takes its matrix, LAPACK's copy and R
    limits.refuse(
        sum(sizes) - sizes[large] + compressed_size, besides=3 * sizes[large] * compressed_size
    )
    blocks = exact_blocks.assemble(perceptron, reduction, batch, micro_batch, without=large)
    factor = exact_blocks.gauss_newton_factor(perceptron, reduction, batch, large)
    blocks, q = exact_blocks.compress(blocks, large, factor, basis=limits.vectors)
    compressed_sizes = [*sizes[:large], compressed_size, *sizes[large + 1 :]]

    def extend(columns: Tensor) -> Tensor:
        pieces = list(columns.split(compressed_sizes))
        assert q is not None
        pieces[large] = q @ pieces[large]
        return reduction.extend(torch.cat(pieces))

    return _Problem(exact_blocks.join(blocks), extend, rank_gap=reduction.rank_gap)


def _general_problem(
    network: nn.Module,
    loss: Loss,
    x: Tensor,
    y: Tensor,
    micro_batch: int | None,
    limits: _Limits,
    *,
    plain: bool,
) -> _Problem:
    """The Hessian column by column, without the null directions that any network shows."""
    isometries: list[Extension] = []
    restricted = None if plain else restrict_to_input_span(network, x)
    if restricted is not None:
        network, x, span = restricted
        isometries.append(lambda columns: span.extend(columns.T).T)
    limits.refuse(sum(p.numel() for p in network.parameters()))
    K = _hessian_by_columns(network, loss, x, y, micro_batch)
    head = None if plain or loss is not F.cross_entropy else _linear_head(network)
    if head is not None:
        V = contrast_basis(head.out_features).to(K)
        K = _map_head(_map_head(K, head, V.T).T, head, V.T)
        isometries.append(lambda columns: _map_head(columns, head, V))
    influential = K.ne(0).any(0)
    if not plain and not bool(influential.all()):
        K = K[influential][:, influential]
        isometries.append(lambda columns: _scatter(columns, influential))

    def extend(columns: Tensor) -> Tensor:
        for isometry in reversed(isometries):
            columns = isometry(columns)
        return columns

    # The solver's default, which spectra as published came from: round-off differs between the two
    return _Problem(K, extend, triangle="L")


def _hessian_by_columns(
    network: nn.Module, loss: Loss, x: Tensor, y: Tensor, micro_batch: int | None
) -> Tensor:
    size = micro_batch or len(x)
    # A list of pairs, since the operator restricts a network on tensors to the span of its inputs.
    operator = HessianOperator(network, loss, list(zip(x.split(size), y.split(size), strict=True)))
    order = operator.shape[0]
    K = torch.empty(order, order, dtype=torch.float64, device=operator.device)
    for start in range(0, order, _COLUMNS):
        columns = K[:, start : start + _COLUMNS]
        unit_vectors = torch.zeros_like(columns)
        unit_vectors[start : start + _COLUMNS].fill_diagonal_(1.0)
        columns.copy_(operator.matmat(unit_vectors))
    return torch.add(K, K.T).div_(2)


def _linear_head(network: nn.Module) -> nn.Linear | None:
    """The last layer, where it is linear, owns the last parameters and gives the logits."""
    if (
        type(network) is not nn.Sequential
        or len(network) == 0
        or type(network[-1]) is not nn.Linear
    ):
        return None
    head, names = network[-1], [name for name, _ in network.named_parameters()]
    own = [f"{len(network) - 1}.{name}" for name, _ in head.named_parameters()]
    hooked = any(m._forward_hooks or m._forward_pre_hooks for m in (network, head))
    return head if names[-len(own) :] == own and not hooked else None


def _map_head(columns: Tensor, head: nn.Linear, matrix: Tensor) -> Tensor:
    """`matrix` (j, i) applied to the outputs' axis of the last layer's rows."""
    outputs, features = matrix.shape[1], head.in_features
    sizes = [outputs * features] + ([] if head.bias is None else [outputs])
    before, weights, *bias = columns.split([len(columns) - sum(sizes), *sizes])
    weights = torch.tensordot(matrix, weights.unflatten(0, (outputs, features)), dims=1)
    return torch.cat([before, weights.flatten(0, 1), *(matrix @ b for b in bias)])


def _scatter(columns: Tensor, rows: Tensor) -> Tensor:
    full = columns.new_zeros(len(rows), columns.shape[1])
    full[rows] = columns
    return full


# -- its eigenvalues ------------------------------------------------------------------------------


def _solve(problem: _Problem, vectors: bool) -> tuple[np.ndarray, Tensor | None, float]:
    """Ascending eigenvalues, eigenvectors on request, and the floor of the solver's round-off."""
    matrix, basis = problem.matrix, None
    order = len(matrix)
    if problem.factored:
        relative_floor = (_EPS * max(matrix.shape)) ** 2
        if vectors:
            basis, sigma, _ = torch.linalg.svd(matrix, full_matrices=matrix.shape[1] < order)
            basis = basis.flip(1)
        else:
            sigma = torch.linalg.svdvals(matrix)
        values = F.pad(sigma.square(), (0, order - len(sigma))).flip(0)
    else:
        relative_floor = _EPS * order
        if vectors:
            values, basis = torch.linalg.eigh(matrix, UPLO=problem.triangle)
        else:
            values = torch.linalg.eigvalsh(matrix, UPLO=problem.triangle)
    norm = float(values.abs().max()) if order else 0.0
    return values.cpu().numpy(), basis, relative_floor * norm


def _with_structural_zeros(
    values: np.ndarray, floor: float, parameters: int
) -> tuple[np.ndarray, np.ndarray]:
    """All P eigenvalues, ascending, with their kinds."""
    kind = np.where(np.abs(values) > floor, "signal", "round_off").astype("<U15")
    zeros = parameters - len(values)
    eigenvalues = np.concatenate([values, np.zeros(zeros)])
    order = np.argsort(eigenvalues, kind="stable")
    return eigenvalues[order], np.concatenate([kind, np.full(zeros, "structural_zero")])[order]


# -- what comes in --------------------------------------------------------------------------------


def _tensors(
    inputs: Tensor | Iterable[tuple[Tensor, Tensor]], targets: Tensor | None
) -> tuple[Tensor, Tensor]:
    if isinstance(inputs, Tensor):
        if targets is None or len(targets) != len(inputs) or len(inputs) == 0:
            raise ValueError("inputs and targets must be tensors of one equal, positive length")
        return inputs, targets
    if targets is not None:
        raise ValueError("targets must be None where inputs is an iterable of pairs")
    pairs = list(inputs)
    if not pairs:
        raise ValueError("no examples to take the mean loss over")
    return torch.cat([x for x, _ in pairs]), torch.cat([y for _, y in pairs])


def _are_labels(targets: Tensor, classes: int) -> bool:
    integral = targets.ndim == 1 and not targets.is_floating_point()
    return integral and bool(((targets >= 0) & (targets < classes)).all())


def _refuse_what_is_not_finite(network: nn.Module, inputs: Tensor) -> None:
    for name, parameter in network.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise UserError(
                f"the weights {name!r} hold NaN or infinity, so the Hessian has no spectrum; "
                "train again with a lower learning rate"
            )
    if not bool(torch.isfinite(inputs).all()):
        raise UserError("the inputs hold NaN or infinity; the Hessian has no spectrum")
