"""Dense Hessians of many batches in one set of coordinates: those of all examples together.

The isometry T of `exact_reduction`, taken for all n examples, serves each batch drawn from them:
H_batch = T K_batch T^T, since a direction that no example sees is seen by no batch. So the
differences K_batch - K_all are the noise of the batch Hessian without its exact null space, which
has P - R dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hessian_rmt.curvature import exact_blocks
from hessian_rmt.curvature.exact_reduction import Batch, as_perceptron, reduce
from hessian_rmt.curvature.hessian import Loss
from hessian_rmt.errors import UserError


class CommonCoordinates:
    """A perceptron's Hessians and gradients on any of its examples, float64, of order `dimension`.

    network, loss: a perceptron (`networks.mlp`) and `torch.nn.functional.cross_entropy`, which the
        assembly by layers needs; raises UserError for others.
    inputs, targets: all examples and their labels.
    """

    def __init__(self, network: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor) -> None:
        perceptron = as_perceptron(network, inputs) if loss is F.cross_entropy else None
        if perceptron is None:
            raise UserError(
                "the noise of batch Hessians is measured for perceptrons (network mlp) under "
                "cross_entropy only; name such a run, or leave its noise settings out"
            )
        self._perceptron = perceptron
        self._micro_batch = exact_blocks.default_micro_batch(perceptron)
        self._reduction, self._examples = reduce(
            perceptron, inputs.flatten(1).double(), targets.long(), self._micro_batch
        )
        self.parameters = perceptron.parameters
        self.dimension = sum(self._reduction.sizes)
        self.rank_gap = self._reduction.rank_gap

    def __len__(self) -> int:
        return len(self._examples)

    def hessian(self, examples: Tensor | None = None) -> Tensor:
        """K (R, R) of the mean loss over `examples` (indices, repeats allowed), or over all."""
        blocks = exact_blocks.assemble(
            self._perceptron, self._reduction, self._batch(examples), self._micro_batch
        )
        K = exact_blocks.join(blocks)
        return K.triu_().add_(K.triu(1).T)

    def gradient_moments(self) -> tuple[Tensor, Tensor]:
        """Mean (R,) and covariance (R, R) of the gradients of single examples."""
        coordinates = self._examples.coordinates
        mean = coordinates.new_zeros(self.dimension)
        second = coordinates.new_zeros(self.dimension, self.dimension)
        for part in self._examples.split(self._micro_batch):
            gradients = exact_blocks.gradients(self._perceptron, self._reduction, part)
            mean += gradients.sum(0)
            exact_blocks.add_upper_product(second, gradients, gradients)
        mean /= len(self)
        second = second.triu_().add_(second.triu(1).T).div_(len(self))
        return mean, second.sub_(torch.outer(mean, mean))

    def restrict(self, columns: Tensor) -> Tensor:
        """T^T x, (P, m) -> (R, m): directions without their part in the exact null space."""
        return self._reduction.restrict(columns)

    def extend(self, columns: Tensor) -> Tensor:
        """T y, (R, m) -> (P, m)."""
        return self._reduction.extend(columns)

    def _batch(self, examples: Tensor | None) -> Batch:
        e = self._examples
        if examples is None:
            return e
        return Batch(e.coordinates[examples], e.preactivations[examples], e.targets[examples])
