"""Distances between iterates, and the covariances of gradients taken at them.

For weights w_i of one network and the gradients g_i over B examples that no w_i depends on,
`applicability` theorem 8.2 is about d_ij = |w_i - w_j| and P^-1 Tr Cov(g_i, g_j), the covariance
over draws of the examples. Blocks of held-out examples are such draws; the covariance of a mean of
n examples is B / n times that of a block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hessian_rmt.jobs import Log

Loss = Callable[[Tensor, Tensor], Tensor]


def iterate_table(
    networks: Sequence[nn.Module],
    loss: Loss,
    examples: Sequence[tuple[Tensor, Tensor]],
    log: Log,
) -> dict[str, Any]:
    """Distances and covariances of E networks of one architecture, over K equal blocks of examples.

    networks: in evaluation mode. Returns distance (E, E), the Euclidean distances of the P
    parameters; covariance (K, E, E), whose mean over blocks estimates P^-1 Tr Cov(g_i, g_j) for
    gradients g of one block, without bias; norm (E,), that of the mean gradient; parameters, P.
    Two passes over the blocks, so no block's gradient is kept.
    """
    weights = [_flat(network.parameters()) for network in networks]
    distance = torch.stack([torch.stack([(a - b).norm() for b in weights]) for a in weights])
    mean = torch.zeros(len(networks), len(weights[0]), dtype=torch.float64)
    mean = mean.to(weights[0].device)
    for block in log.progress(examples, label="mean gradients"):
        mean += _gradients(networks, loss, *block)
    mean /= len(examples)
    covariance = []
    for block in log.progress(examples, label="covariances"):
        deviations = _gradients(networks, loss, *block) - mean
        covariance.append((deviations @ deviations.T).cpu().numpy())
    count = len(weights[0])
    bias = len(examples) / (len(examples) - 1)
    return {
        "distance": distance.cpu().numpy(),
        "covariance": bias * np.array(covariance) / count,
        "norm": mean.norm(dim=1).cpu().numpy(),
        "parameters": count,
    }


def blocks(inputs: Tensor, targets: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    """Consecutive blocks of `size` examples; what is left over is left out."""
    pairs: Iterator[tuple[Tensor, Tensor]] = zip(
        inputs.split(size), targets.split(size), strict=True
    )
    return [(x, y) for x, y in pairs if len(x) == size]


def _gradients(networks: Sequence[nn.Module], loss: Loss, x: Tensor, y: Tensor) -> Tensor:
    rows = []
    for network in networks:
        parameters = list(network.parameters())
        rows.append(_flat(torch.autograd.grad(loss(network(x), y), parameters)))
    return torch.stack(rows)


def _flat(tensors: Any) -> Tensor:
    return torch.cat([tensor.detach().flatten() for tensor in tensors]).double()
