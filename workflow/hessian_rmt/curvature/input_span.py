"""The subspace of weight space on which a batch Hessian lives, as far as the inputs decide it.

A first linear layer sees its weights W only through W x_i. With an orthonormal basis Q (d, r) of a
space that contains all inputs x_i, W x_i = (W Q)(Q^T x_i): the loss is a function of W Q, so that
H = T K T^T, where K is the Hessian in the coordinates W Q and T = Q (x) 1 an isometry. Nothing is
approximated; a batch of 64 MNIST images leaves 64 of 784 input dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class InputSpan:
    """The isometry T from coordinates (W Q, other parameters) to all parameters.

    `basis` is Q (d, r); the first `units * d` parameters are the first layer's weights (units, d).
    Vectors are rows: any number of leading axes.
    """

    def __init__(self, basis: Tensor, units: int) -> None:
        self.basis, self.units = basis, units

    def restrict(self, rows: Tensor) -> Tensor:
        """T^T v, (..., P) -> (..., R)."""
        return self._map(rows, self.basis)

    def extend(self, rows: Tensor) -> Tensor:
        """T u, (..., R) -> (..., P)."""
        return self._map(rows, self.basis.T)

    def _map(self, rows: Tensor, matrix: Tensor) -> Tensor:
        rows = rows.double()
        cut = self.units * matrix.shape[0]
        weights = rows[..., :cut].unflatten(-1, (self.units, matrix.shape[0])) @ matrix.to(rows)
        return torch.cat([weights.flatten(-2), rows[..., cut:]], dim=-1)


def layers_on_flat_inputs(network: nn.Module, inputs: Tensor) -> list[nn.Module] | None:
    """A sequential network's layers, the first of which is given flat inputs; None for others."""
    if type(network) is not nn.Sequential:
        return None
    layers = list(network)
    # A hook may do anything to what the layers see and give, weight normalisation included.
    if any(m._forward_hooks or m._forward_pre_hooks for m in (network, *layers[:2])):
        return None
    if (
        layers
        and type(layers[0]) is nn.Flatten
        and (layers[0].start_dim, layers[0].end_dim) == (1, -1)
    ):
        layers = layers[1:]
    elif inputs.ndim != 2:
        return None
    return layers


def restrict_to_input_span(
    network: nn.Module, inputs: Tensor
) -> tuple[nn.Sequential, Tensor, InputSpan] | None:
    """The network in coordinates of its inputs' span, the inputs there, and the isometry.

    None where the network does not begin with a linear layer on flat inputs, or nothing is gained.
    The basis is that of the batch itself where it is small; else pixels that are constant over the
    batch (an image's border) are merged into one input, since a QR of a large batch costs more than
    it saves.
    """
    layers = layers_on_flat_inputs(network, inputs)
    if not layers or type(layers[0]) is not nn.Linear:
        return None
    first, flat = layers[0], inputs.flatten(1)
    # A layer used twice has one weight matrix that acts on two kinds of inputs.
    if any(parameter is first.weight for layer in layers[1:] for parameter in layer.parameters()):
        return None
    constant = flat.amax(0) == flat.amin(0)
    varying = int((~constant).sum())
    if 2 * len(flat) <= varying:
        q, r = torch.linalg.qr(flat.T.double())
        basis, coordinates = q, r.T
    elif varying < 0.95 * flat.shape[1]:
        basis, coordinates = _merge_constant(flat, constant, first.weight.dtype)
    else:
        return None
    restricted = nn.Linear(basis.shape[1], first.out_features, bias=False).to(first.weight)
    with torch.no_grad():
        restricted.weight.copy_(first.weight.double() @ basis)
    restricted.bias = first.bias
    reduced = nn.Sequential(restricted, *layers[1:])
    return reduced, coordinates.to(first.weight.dtype), InputSpan(basis, first.out_features)


def _merge_constant(flat: Tensor, constant: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Basis and coordinates with all constant columns c_j replaced by one along c / ||c||."""
    values = flat[0].double() * constant
    norm = torch.linalg.vector_norm(values)
    kept = torch.nonzero(~constant).squeeze(1)
    basis = torch.zeros(flat.shape[1], len(kept) + 1, dtype=values.dtype, device=flat.device)
    basis[kept, torch.arange(len(kept), device=flat.device)] = 1.0
    basis[:, -1] = values / norm if norm > 0 else 0.0
    coordinates = torch.cat([flat[:, kept].to(dtype), norm.to(dtype).expand(len(flat), 1)], dim=1)
    if norm == 0:
        basis, coordinates = basis[:, :-1], coordinates[:, :-1]
    return basis, coordinates.contiguous()
