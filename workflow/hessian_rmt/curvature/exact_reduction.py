"""The isometry T of a batch Hessian of a perceptron, H = T K T^T, with K small and T^T T = 1.

With a~_0 = (x, 1), z_l = W_l a~_{l-1}, a~_l = (phi(z_l), 1), the loss of one example depends on

1. W_L through V^T W_L only, V (C, C - 1) an orthonormal basis of 1^perp: softmax ignores a shift of
   all logits, so 1 (x) c is a null direction for every c (h_last + 1 of them);
2. row u of W_1 through W_1[u] a~_0 on the examples where unit u is *live* only: its slope phi'(z_u)
   is not zero, nor are all slopes of a later layer. So the row matters on the span of these a~_0;
3. W_l[u, v], l > 1, only if u is live and v has a slope on one example at least. (The span of the
   live a~_{l-1} would be too small: d^2 L / dW_l dW_k holds delta_l[u] phi'(z_v), not a~_{l-1}[v].)

2 and 3 hold for first and second derivatives, since a unit without slope has no curvature here
(ReLU; tanh only where it has saturated to +-1 in float64). 1 and 3 are exact combinatorics. Only 2
decides a numerical rank: singular values of live inputs above eps max(n, d) sigma_max count, and
`rank_gap` tells how clear the decisions were.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hessian_rmt.curvature.input_span import layers_on_flat_inputs

_EPS = torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class Perceptron:
    """A fully connected network in float64: weights (n_l, d_l), with the bias as last column."""

    weights: tuple[Tensor, ...]
    biased: tuple[bool, ...]
    activations: tuple[type[nn.Module], ...]

    @property
    def parameters(self) -> int:
        return sum(w.numel() for w in self.weights)

    def augment(self, layer: int, inputs: Tensor) -> Tensor:
        """a~ = (a, 1) where `layer` has a bias."""
        return (
            torch.cat([inputs, inputs.new_ones(len(inputs), 1)], 1)
            if self.biased[layer]
            else inputs
        )

    def propagate(self, preactivations: Tensor) -> Propagation:
        """All later layers' inputs, slopes and bends from z_1 (n, n_1)."""
        inputs, slopes, bends, z = [], [], [], preactivations
        for layer, activation in enumerate(self.activations, start=1):
            a, slope, bend = _ACTIVATIONS[activation](z)
            inputs.append(self.augment(layer, a))
            slopes.append(slope)
            bends.append(bend)
            z = inputs[-1] @ self.weights[layer].T
        return Propagation(inputs, slopes, bends, z)


@dataclass(frozen=True)
class Propagation:
    """a~_l, phi'(z_l), phi''(z_l) (None where it vanishes) for l = 1 ... L - 1, and the logits."""

    inputs: list[Tensor]
    slopes: list[Tensor]
    bends: list[Tensor | None]
    logits: Tensor

    def live(self) -> list[Tensor]:
        """Per hidden layer (n, n_l): slope here, and a path of slopes from here to the logits."""
        masks, path = [], torch.ones_like(self.logits[:, :1], dtype=torch.bool)
        for slope in reversed(self.slopes):
            masks.append((slope != 0) & path)
            path = masks[-1].any(1, keepdim=True)
        return masks[::-1]


def _relu(z: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    return z.clamp_min(0), (z > 0).to(z), None


def _tanh(z: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    a = z.tanh()
    slope = 1 - a.square()
    return a, slope, -2 * a * slope


_ACTIVATIONS = {nn.ReLU: _relu, nn.Tanh: _tanh}


def as_perceptron(network: nn.Module, inputs: Tensor) -> Perceptron | None:
    """The network as a perceptron, or None: it is [Flatten,] Linear, then pairs of phi, Linear."""
    layers = layers_on_flat_inputs(network, inputs)
    if layers is None or any(m._forward_hooks or m._forward_pre_hooks for m in layers):
        return None
    linear, activations = layers[::2], tuple(type(m) for m in layers[1::2])
    shared = len(list(network.parameters())) < sum(len(list(m.parameters())) for m in linear)
    if len(layers) % 2 == 0 or shared or not set(activations) <= set(_ACTIVATIONS):
        return None
    weights = []
    for module in linear:
        if type(module) is not nn.Linear:
            return None
        columns = [module.weight] if module.bias is None else [module.weight, module.bias[:, None]]
        weights.append(torch.cat(columns, dim=1).detach().double())
    return Perceptron(tuple(weights), tuple(m.bias is not None for m in linear), activations)


@dataclass(frozen=True)
class Reduction:
    """T = T_1 (+) ... (+) T_L, in two steps.

    First to *common* coordinates: the first layer's rows on `span` (d_1, r), orthonormal, of all
    inputs; the last layer's columns on `contrasts` V. There the blocks of K are assembled. Then to
    each layer's own: row u of the first layer on `units[u]` (r, r_u), orthonormal, and of layer
    l > 1 the entries where `kept[l - 1]` (rows, d_l). Softmax regression has the first step only.
    """

    span: Tensor
    contrasts: Tensor
    units: tuple[Tensor, ...]
    kept: tuple[Tensor, ...]
    biased: tuple[bool, ...]
    rank_gap: tuple[float, float]

    @property
    def sizes(self) -> list[int]:
        """Dimension of K's block per layer."""
        return [sum(q.shape[1] for q in self.units), *(int(k.sum()) for k in self.kept)]

    def restrict_block(self, block: Tensor, layer: int, other: int) -> Tensor:
        """T_l^T B T_m of a block in common coordinates, l <= m."""
        block = self.restrict_rows(block, layer)
        if other == 0:
            return self.restrict_rows(block.T, other).T
        kept = self.kept[other - 1].flatten()
        return block if bool(kept.all()) else block.index_select(1, kept.nonzero().squeeze(1))

    def restrict_rows(self, block: Tensor, layer: int) -> Tensor:
        """T_l^T B."""
        if layer > 0:
            kept = self.kept[layer - 1].flatten()
            return block if bool(kept.all()) else block.index_select(0, kept.nonzero().squeeze(1))
        pieces = block.unflatten(0, (len(self.units), -1))
        return torch.cat([q.T @ piece for q, piece in zip(self.units, pieces, strict=True)])

    def restrict(self, columns: Tensor) -> Tensor:
        """T^T x, (P, m) -> (R, m): the adjoint of `extend`."""
        outputs = [len(self.units), *(len(kept) for kept in self.kept)]
        fan_in = [len(self.span), *(kept.shape[1] for kept in self.kept)]
        outputs[-1] = len(self.contrasts)
        pieces, start = [], 0
        for rows, width, biased in zip(outputs, fan_in, self.biased, strict=True):
            end = start + rows * (width - biased)
            piece = columns[start:end].unflatten(0, (rows, width - biased))
            if biased:
                piece = torch.cat([piece, columns[end : end + rows, None]], dim=1)
            pieces.append(piece)
            start = end + rows * biased
        pieces[-1] = torch.tensordot(self.contrasts.T, pieces[-1], dims=1)
        first = [q.T @ (self.span.T @ w) for q, w in zip(self.units, pieces[0], strict=True)]
        kept = [piece[mask] for mask, piece in zip(self.kept, pieces[1:], strict=True)]
        return torch.cat([*first, *kept])

    def extend(self, columns: Tensor) -> Tensor:
        """T y, (R, m) -> (P, m), in the order of the network's parameters."""
        first, *others = columns.split(self.sizes)
        rows = first.split([q.shape[1] for q in self.units])
        pieces = [torch.stack([self.span @ (q @ y) for q, y in zip(self.units, rows, strict=True)])]
        for kept, y in zip(self.kept, others, strict=True):
            full = y.new_zeros(*kept.shape, y.shape[1])
            full[kept] = y
            pieces.append(full)
        pieces[-1] = torch.tensordot(self.contrasts, pieces[-1], dims=1)
        parameters = []
        for piece, biased in zip(pieces, self.biased, strict=True):
            weights = piece[:, :-1] if biased else piece
            parameters += [weights.flatten(0, 1)] + ([piece[:, -1]] if biased else [])
        return torch.cat(parameters)


@dataclass(frozen=True)
class Batch:
    """Examples in coordinates (n, r) of their inputs' span, their z_1 (n, n_1) and targets (n,)."""

    coordinates: Tensor
    preactivations: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def split(self, size: int) -> Iterator[Batch]:
        return map(
            Batch,
            self.coordinates.split(size),
            self.preactivations.split(size),
            self.targets.split(size),
        )


def reduce(
    perceptron: Perceptron, inputs: Tensor, targets: Tensor, micro_batch: int
) -> tuple[Reduction, Batch]:
    """The isometry for examples with the inputs a_0 (n, d), and the examples in its coordinates."""
    inputs = perceptron.augment(0, inputs)
    span, gaps = _orthonormal_span(inputs)
    coordinates = inputs @ span
    # z_1 from the inputs themselves, lest a unit at the brink be live here and dead there
    preactivations = inputs @ perceptron.weights[0].T
    contrasts = contrast_basis(len(perceptron.weights[-1])).to(inputs)
    live_first, kept = _activity(perceptron, preactivations, micro_batch)
    units = [torch.eye(span.shape[1]).to(inputs)] * contrasts.shape[1]
    if kept:
        kept[-1] = kept[-1][:1].expand(contrasts.shape[1], -1)
        spans = [_orthonormal_span(coordinates[live]) for live in live_first.T]
        units = [basis for basis, _ in spans]
        dropped, smallest = zip(gaps, *(unit_gaps for _, unit_gaps in spans), strict=True)
        gaps = (max(dropped), min(smallest))
    reduction = Reduction(span, contrasts, tuple(units), tuple(kept), perceptron.biased, gaps)
    return reduction, Batch(coordinates, preactivations, targets)


def contrast_basis(classes: int) -> Tensor:
    """V (C, C - 1): an orthonormal basis of the vectors whose entries sum to zero (Helmert)."""
    k = torch.arange(1, classes, dtype=torch.float64)
    below = torch.ones(classes, classes - 1, dtype=torch.float64).triu()
    below[1:] -= torch.diag(k)
    return below / (k * (k + 1)).sqrt()


def _activity(
    perceptron: Perceptron, preactivations: Tensor, micro_batch: int
) -> tuple[Tensor, list[Tensor]]:
    """Where the first layer's units are live (n, n_1); per further layer, which weights matter."""
    live_first: list[Tensor] = []
    together = [torch.zeros_like(w) for w in perceptron.weights[1:]]
    for z in preactivations.split(micro_batch):
        signals = perceptron.propagate(z)
        live = [*signals.live(), torch.ones_like(signals.logits, dtype=torch.bool)]
        live_first.append(live[0])
        for layer, (count, slope) in enumerate(zip(together, signals.slopes, strict=True), start=1):
            count += live[layer].to(slope).T @ perceptron.augment(layer, (slope != 0).to(slope))
    return torch.cat(live_first), [count > 0 for count in together]


def _orthonormal_span(rows: Tensor) -> tuple[Tensor, tuple[float, float]]:
    """A basis (d, r) of the rows' span; the largest relative singular value dropped, least kept."""
    if len(rows) == 0 or not bool(rows.any()):
        return rows.new_zeros(rows.shape[1], 0), (0.0, 1.0)
    if len(rows) < rows.shape[1]:
        q, r = torch.linalg.qr(rows.T)
        left, sigma, _ = torch.linalg.svd(r)
        basis = q @ left
    else:
        _, sigma, right = torch.linalg.svd(torch.linalg.qr(rows, mode="r").R)
        basis = right.T
    relative = (sigma / sigma[0]).tolist()
    rank = sum(value > _EPS * max(rows.shape) for value in relative)
    return basis[:, :rank], (max(relative[rank:], default=0.0), relative[rank - 1])
