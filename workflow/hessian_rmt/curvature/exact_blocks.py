"""The blocks K_lm of a perceptron's Hessian under cross entropy, by matrix products.

Per example, with delta_l = dL/dz_l, S_l = phi'(z_l), J_ml = dz_m/dz_l, A_kl = S_k J_kl:

    G_L = diag(p) - p p^T,
    G_l = S_l W_{l+1}^T G_{l+1} W_{l+1} S_l + diag(phi''(z_l) W_{l+1}^T delta_{l+1}),
    d^2 L / dW_l[u,v] dW_m[u',v'] = (J_ml^T G_m)[u,u'] a_{l-1}[v] a_{m-1}[v']           (curved)
                                  + A_{m-1,l}[v',u] a_{l-1}[v] delta_m[u']   if l < m   (bilinear)

G_l holds the second derivatives with respect to z_l, the bilinear term is there because W_m
multiplies what W_l made. Both are sums over examples of Kronecker products: one GEMM each, with the
examples as inner dimension, whose accumulator is unfolded at the end. Where a layer has its own
block only by Gauss-Newton (ReLU), K_ll = F F^T with (C - 1) n columns: `gauss_newton_factor`.

The last layer is in contrasts throughout (`exact_reduction`): C - 1 outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hessian_rmt.curvature.exact_reduction import Batch, Perceptron, Reduction

Blocks = dict[tuple[int, int], Tensor]

# Largest intermediate of a micro-batch, in numbers.
_CHUNK = 2**23
# Rows of a symmetric sum at a time: of those below its diagonal only their own strip is computed.
_STRIP = 128
# Inputs of a layer from which on a product for each unit is worth its overhead.
_WIDE = 64


@dataclass(frozen=True)
class _Derivatives:
    """What the blocks are made of, for a micro-batch; layers count from 0."""

    inputs: list[Tensor]  # a_{l-1}, bias 1 included; the first in coordinates of its span
    slopes: list[Tensor]
    errors: list[Tensor]  # delta_l / n
    curvatures: list[Tensor]  # G_l / n
    jacobians: dict[tuple[int, int], Tensor]  # J_ml for m > l
    root: Tensor  # R with R R^T = G_L / n

    def curved(self, layer: int, other: int) -> Tensor:
        """J_ml^T G_m (b, n_l, n_m)."""
        curvature = self.curvatures[other]
        return curvature if layer == other else self.jacobians[other, layer].mT @ curvature

    def sensitivity(self, layer: int, other: int) -> Tensor:
        """A_{m-1,l} (b, n_{m-1}, n_l)."""
        slope = self.slopes[other - 1]
        if layer == other - 1:
            return torch.diag_embed(slope)
        return slope[:, :, None] * self.jacobians[other - 1, layer]


def default_micro_batch(perceptron: Perceptron) -> int:
    """Examples at a time, such that intermediates stay near 64 MB."""
    return max(16, _CHUNK // max(w.numel() for w in perceptron.weights))


def assemble(
    perceptron: Perceptron,
    reduction: Reduction,
    batch: Batch,
    micro_batch: int,
    *,
    without: int | None = None,
) -> Blocks:
    """K_lm for l <= m, in the reduction's coordinates; but for layer `without`'s own block."""
    layers = range(len(perceptron.weights))
    pairs = [(layer, other) for other in layers for layer in layers[: other + 1]]
    sums: dict[tuple[int, int], _FirstOwn | _FirstCross | _Own | _Cross] = {
        (layer, other): (
            (_FirstOwn() if layer == 0 else _Own())
            if layer == other
            else (_FirstCross() if layer == 0 else _Cross())
        )
        for layer, other in pairs
        if not layer == other == without
    }
    for part in batch.split(micro_batch):
        derivatives = _derivatives(perceptron, reduction, part, len(batch))
        for (layer, other), terms in sums.items():
            terms.add(derivatives, layer, other)
    blocks: Blocks = {}
    for layer, other in list(sums):
        block = sums.pop((layer, other)).block()
        blocks[layer, other] = reduction.restrict_block(block, layer, other)
    return blocks


def gauss_newton_factor(
    perceptron: Perceptron, reduction: Reduction, batch: Batch, layer: int
) -> Tensor:
    """F (dimension of the layer, n (C - 1)), F F^T its Gauss-Newton block in K's coordinates.

    diag(p) - p p^T = R R^T with R = diag(sqrt p) N, N (C, C - 1) orthonormal with N^T sqrt(p) = 0:
    no subtraction, so small probabilities keep their relative accuracy.
    """
    derivatives = _derivatives(perceptron, reduction, batch, len(batch))
    last, root = len(perceptron.weights) - 1, derivatives.root
    if layer < last:
        root = derivatives.jacobians[last, layer].mT @ root
    factor = torch.einsum("iuk,iv->uvik", root, derivatives.inputs[layer]).flatten(2).flatten(0, 1)
    return reduction.restrict_rows(factor, layer)


def gradients(perceptron: Perceptron, reduction: Reduction, batch: Batch) -> Tensor:
    """The examples' own gradients delta_l (x) a_{l-1}, (n, R), in the reduction's coordinates."""
    derivatives = _derivatives(perceptron, reduction, batch, 1)
    pieces = []
    for layer, (error, a) in enumerate(zip(derivatives.errors, derivatives.inputs, strict=True)):
        common = (error[:, :, None] * a[:, None, :]).flatten(1)
        pieces.append(reduction.restrict_rows(common.T, layer))
    return torch.cat(pieces).T


def compress(
    blocks: Blocks, layer: int, factor: Tensor, *, basis: bool
) -> tuple[Blocks, Tensor | None]:
    """K confined to range(F) + range(coupling of `layer` to all others), exactly.

    K = [[A, B^T], [B, F F^T]] and [F, B] = Q R give K = (1 (+) Q) [[A, R_B^T], [R_B, R_F R_F^T]]
    (1 (+) Q)^T. range(F) alone would lose the part of B outside it. Q is formed on request only.
    """
    others = sorted({index for pair in blocks for index in pair} - {layer})
    coupling = [blocks[layer, m] if m > layer else blocks[m, layer].T for m in others]
    q, r = torch.linalg.qr(torch.cat([factor, *coupling], 1), mode="reduced" if basis else "r")
    r_factor, *r_coupling = r.split([factor.shape[1], *(b.shape[1] for b in coupling)], dim=1)
    compressed = {pair: block for pair, block in blocks.items() if layer not in pair}
    compressed[layer, layer] = r_factor @ r_factor.T
    for m, r_block in zip(others, r_coupling, strict=True):
        compressed[min(layer, m), max(layer, m)] = r_block if m > layer else r_block.T
    return compressed, q if basis else None


def join(blocks: Blocks) -> Tensor:
    """K from its blocks K_lm, l <= m; zeros below them. Empties `blocks` on the way."""
    layers = range(1 + max(m for _, m in blocks))
    sizes = [len(blocks[layer, layer]) for layer in layers]
    places = [slice(sum(sizes[:layer]), sum(sizes[: layer + 1])) for layer in layers]
    K = blocks[0, 0].new_zeros(sum(sizes), sum(sizes))
    for layer, other in list(blocks):
        K[places[layer], places[other]] = blocks.pop((layer, other))
    return K


# -- derivatives per example ----------------------------------------------------------------------


def _derivatives(
    perceptron: Perceptron, reduction: Reduction, batch: Batch, examples: int
) -> _Derivatives:
    contrasts = reduction.contrasts
    signals = perceptron.propagate(batch.preactivations)
    probabilities = signals.logits.softmax(1)
    one_hot = torch.nn.functional.one_hot(batch.targets, len(contrasts)).to(contrasts)
    errors = [(probabilities - one_hot) @ contrasts / examples]
    root = contrasts.T @ _softmax_root(signals.logits) * examples**-0.5
    curvatures = [root @ root.mT]
    hidden = range(len(signals.slopes))
    # W_{l+1} without its bias; the last layer's in contrasts
    weights = [
        w[:, : s.shape[1]] for w, s in zip(perceptron.weights[1:], signals.slopes, strict=True)
    ]
    if weights:
        weights[-1] = contrasts.T @ weights[-1]
    jacobians: dict[tuple[int, int], Tensor] = {}
    for layer in reversed(hidden):
        slope, bend = signals.slopes[layer], signals.bends[layer]
        step = weights[layer] * slope[:, None, :]
        for other in range(layer + 2, len(weights) + 1):
            jacobians[other, layer] = jacobians[other, layer + 1] @ step
        jacobians[layer + 1, layer] = step
        curvature, arriving = step.mT @ (curvatures[0] @ step), errors[0] @ weights[layer]
        if bend is not None:
            curvature = curvature + torch.diag_embed(bend * arriving)
        curvatures.insert(0, curvature)
        errors.insert(0, slope * arriving)
    inputs = [batch.coordinates, *signals.inputs]
    return _Derivatives(inputs, signals.slopes, errors, curvatures, jacobians, root)


def _softmax_root(logits: Tensor) -> Tensor:
    """R (n, C, C - 1) with R R^T = diag(p) - p p^T."""
    s = (logits.log_softmax(1) / 2).exp()
    # The Householder reflection that takes s to -e_C: its other columns are orthogonal to s.
    w = s.clone()
    w[:, -1] += 1
    N = torch.eye(s.shape[1], s.shape[1] - 1).to(s) - (
        w[:, :, None] * w[:, None, :-1] / w[:, -1, None, None]
    )
    return s[:, :, None] * N


# -- sums over examples ---------------------------------------------------------------------------


def add_upper_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """total += left^T right, symmetric: its upper triangle, and what strips have below it."""
    for start in range(0, len(total), _STRIP):
        strip = slice(start, start + _STRIP)
        total[strip, start:].addmm_(left[:, strip].T, right[:, start:])


class _FirstOwn:
    """K_00: for units u <= v, X^T diag(G_uv) X over the examples where both have a slope.

    Symmetric, so of each only its upper triangle, in strips.
    """

    def __init__(self) -> None:
        self.sum: Tensor | None = None

    def add(self, d: _Derivatives, layer: int, other: int) -> None:
        G, x = d.curvatures[0], d.inputs[0]
        units, width = G.shape[1], x.shape[1]
        if self.sum is None:
            self.sum = x.new_zeros(units, units, width, width)
        for u in range(units):
            live_u = _live(d, 0, u)
            x_u, G_u = x[live_u], G[live_u, u]
            for v in range(u, units):
                live = G_u[:, v].nonzero().squeeze(1)
                some = x_u if len(live) == len(x_u) else x_u[live]
                weighted = some * G_u[live, v, None]
                add_upper_product(self.sum[u, v], weighted, some)

    def block(self) -> Tensor:
        assert self.sum is not None
        units, _, width, _ = self.sum.shape
        block = self.sum.new_empty(units, width, units, width)
        for u in range(units):
            for v in range(u, units):
                upper = self.sum[u, v].triu()
                block[u, :, v] = upper + upper.triu(1).T
                block[v, :, u] = block[u, :, v]
        return block.view(units * width, units * width)


class _FirstCross:
    """K_0m, m > 0: per unit u, X^T [curved (x) a + delta (x) A] where u has a slope.

    Where a is wide it pays to leave out, unit u' by unit u', the examples where u' has none.
    """

    def __init__(self) -> None:
        self.sum: Tensor | None = None

    def add(self, d: _Derivatives, layer: int, other: int) -> None:
        x, a, errors = d.inputs[0], d.inputs[other], d.errors[other]
        curved, sensitivity = d.curved(0, other), d.sensitivity(0, other)
        units, others = curved.shape[1:]
        if self.sum is None:
            self.sum = x.new_zeros(units, others, x.shape[1], a.shape[1])
        for u in range(units):
            live_u = _live(d, 0, u)
            x_u, a_u, made = x[live_u], a[live_u], sensitivity[live_u, :, u]
            if a.shape[1] < _WIDE or other == len(d.slopes):
                weighted = curved[live_u, u, :, None] * a_u[:, None, :]
                weighted[:, :, : made.shape[1]] += errors[live_u, :, None] * made[:, None, :]
                target = self.sum[u].permute(1, 0, 2)
                target += (x_u.T @ weighted.flatten(1)).view(target.shape)
                continue
            curved_u, errors_u = curved[live_u, u], errors[live_u]
            slopes_u = d.slopes[other][live_u]
            for v in range(others):
                live = slopes_u[:, v].nonzero().squeeze(1)
                weighted = curved_u[live, v, None] * a_u[live]
                weighted[:, : made.shape[1]] += errors_u[live, v, None] * made[live]
                self.sum[u, v].addmm_(x_u[live].T, weighted)

    def block(self) -> Tensor:
        assert self.sum is not None
        units, others, width, width_other = self.sum.shape
        return self.sum.permute(0, 2, 1, 3).reshape(units * width, others * width_other)


def _live(d: _Derivatives, layer: int, unit: int) -> Tensor | slice:
    """The examples on which a unit has a slope; all where the layer has no activation."""
    if layer == len(d.slopes):
        return slice(None)
    return d.slopes[layer][:, unit].nonzero().squeeze(1)


class _Own:
    """K_ll, l > 0: sum_i G_i (x) a_i a_i^T, over pairs u <= u' and v <= v' only."""

    def __init__(self) -> None:
        self.sum: Tensor | None = None
        self.shape = (0, 0)

    def add(self, d: _Derivatives, layer: int, other: int) -> None:
        G, a = d.curvatures[layer], d.inputs[layer]
        self.shape = (G.shape[1], a.shape[1])
        u, v = (torch.triu_indices(n, n, device=a.device) for n in self.shape)
        left, right = G[:, u[0], u[1]], a[:, v[0]] * a[:, v[1]]
        if self.sum is None:
            self.sum = left.T @ right
        else:
            self.sum.addmm_(left.T, right)

    def block(self) -> Tensor:
        assert self.sum is not None
        n, d = self.shape
        units, inputs = (_pair_index(k).to(self.sum.device) for k in (n, d))
        block = self.sum.new_empty(n, d, n, d)
        for u in range(n):
            block[u] = self.sum[units[u]][:, inputs].permute(1, 0, 2)
        return block.view(n * d, n * d)


class _Cross:
    """K_lm, 0 < l < m, from the accumulators of its curved and its bilinear term."""

    def __init__(self) -> None:
        self.curved: Tensor | None = None
        self.bilinear: Tensor | None = None
        self.shape = (0, 0, 0, 0)
        self.adjacent = False

    def add(self, d: _Derivatives, layer: int, other: int) -> None:
        curved, a, b = d.curved(layer, other), d.inputs[layer], d.inputs[other]
        self.shape = (curved.shape[1], a.shape[1], curved.shape[2], b.shape[1])
        # Between adjacent layers A is diagonal: (b, n_l) instead of (b, n_{m-1}, n_l).
        self.adjacent = other == layer + 1
        made = d.slopes[layer] if self.adjacent else d.sensitivity(layer, other)
        bilinear = made.flatten(1).T @ _outer(a, d.errors[other])
        self.bilinear = bilinear if self.bilinear is None else self.bilinear.add_(bilinear)
        outer = _outer(a, b)
        if self.curved is None:
            self.curved = outer.new_zeros(curved.shape[1] * curved.shape[2], outer.shape[1])
        if curved.shape[2] < _WIDE:
            self.curved.addmm_(curved.flatten(1).T, outer)
            return
        for u, target in enumerate(self.curved.split(curved.shape[2])):
            live = _live(d, layer, u)
            target.addmm_(curved[live, u].T, outer[live])

    def block(self) -> Tensor:
        assert self.curved is not None
        assert self.bilinear is not None
        n, d, n_other, d_other = self.shape
        block = self.curved.view(n, n_other, d, d_other).permute(0, 2, 1, 3).contiguous()
        if self.adjacent:
            # bilinear[v', v, u'] meets K[(u, v), (u', v')] at v' = u only
            diagonal = block.diagonal(dim1=0, dim2=3)  # (d, n_other, n)
            diagonal += self.bilinear.view(n, d, n_other).permute(1, 2, 0)
        else:
            made = len(self.bilinear) // n
            block[..., :made] += self.bilinear.view(made, n, d, n_other).permute(1, 2, 3, 0)
        return block.view(n * d, n_other * d_other)


def _outer(a: Tensor, b: Tensor) -> Tensor:
    return (a[:, :, None] * b[:, None, :]).flatten(1)


def _pair_index(n: int) -> Tensor:
    """(n, n): where the pair (u, u') or (u', u) stands among the pairs u <= u'."""
    u = torch.triu_indices(n, n)
    index = torch.empty(n, n, dtype=torch.long)
    index[u[0], u[1]] = index[u[1], u[0]] = torch.arange(u.shape[1])
    return index
