"""What BatchNorm layers normalise with where a Hessian is taken.

A layer gives w (z - m) / sqrt(v + eps) + b. The loss is a mean over examples, and its Hessian one
over the examples' Hessians, where m and v are constants: ``evaluation``, with m and v the mean and
variance of z over the whole training set, given those of the layers before. (Training leaves
averages over its last batches behind, which lag behind the weights.) Or m and v are those of the
batch itself: ``batch``. They then depend on the weights, the Hessian holds their derivatives, and
one example's share depends on the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor, nn

from hessian_rmt.errors import UserError
from hessian_rmt.jobs import Log

_BATCH = 256

BatchNorm = nn.modules.batchnorm._BatchNorm


def batch_norms(network: nn.Module) -> list[BatchNorm]:
    """The network's BatchNorm layers."""
    return [module for module in network.modules() if isinstance(module, BatchNorm)]


def set_batch_norm(
    network: nn.Module, mode: str, inputs: np.ndarray, log: Log | None = None
) -> None:
    """Let a network in evaluation mode normalise as `mode` says, "evaluation" or "batch".

    inputs: the training set (n, ...), without augmentation. Networks without BatchNorm stay as they
    are, at no cost. Raises UserError where statistics over the training set are not defined.
    """
    if not batch_norms(network):
        return
    if mode == "batch":
        for layer in batch_norms(network):
            layer.running_mean = layer.running_var = layer.num_batches_tracked = None
            layer.track_running_stats = False
    else:
        recompute_statistics(network, inputs, log)


@torch.no_grad()
def recompute_statistics(network: nn.Module, inputs: np.ndarray, log: Log | None = None) -> None:
    """Give each BatchNorm layer the mean and variance of what it sees of all `inputs`.

    The network, in evaluation mode, is then the function that training mode computes with `inputs`
    as one batch. One pass over them for each layer, as far as that layer, in batches of fixed size
    merged in double precision: the same numbers in every job.
    """
    for layer in _in_order_of_use(network, inputs):
        moments = _Moments()

        def take(_: nn.Module, arguments: tuple[Tensor, ...], moments: _Moments = moments) -> None:
            moments.add(arguments[0])
            raise _Seen

        handle = layer.register_forward_pre_hook(take)
        try:
            for x in _batches(network, inputs):
                with suppress(_Seen):
                    network(x)
        finally:
            handle.remove()
        assert layer.running_mean is not None
        assert layer.running_var is not None
        layer.running_mean.copy_(moments.mean)
        layer.running_var.copy_(moments.variance)
    if log is not None:
        log.line(f"BatchNorm statistics recomputed over {len(inputs)} examples")


class _Seen(Exception):
    """Ends a forward pass at the layer whose input is wanted."""


class _Moments:
    """Count, mean and variance by channel of batches seen one after the other, in float64."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.variance = torch.zeros(())

    def add(self, z: Tensor) -> None:
        axes = [axis for axis in range(z.ndim) if axis != 1]
        variance, mean = torch.var_mean(z.double(), axes, correction=0)
        count = z.numel() // z.shape[1]
        total = self.count + count
        share, shift = count / total, mean - self.mean.to(mean)
        self.mean = self.mean.to(mean) + share * shift
        self.variance = (1 - share) * (self.variance.to(mean) + share * shift.square())
        self.variance = self.variance + share * variance
        self.count = total


def _batches(network: nn.Module, inputs: np.ndarray) -> Iterator[Tensor]:
    device = next(network.parameters()).device
    for start in range(0, len(inputs), _BATCH):
        yield torch.from_numpy(inputs[start : start + _BATCH]).to(device)


def _in_order_of_use(network: nn.Module, inputs: np.ndarray) -> list[BatchNorm]:
    """The BatchNorm layers that a forward pass calls, in that order."""
    if any(layer.running_mean is None for layer in batch_norms(network)):
        raise UserError(
            "the network has a BatchNorm layer that keeps no statistics (track_running_stats is "
            "False), so hessian.batch_norm cannot be evaluation; set it to batch"
        )
    called: list[BatchNorm] = []
    handles = [
        layer.register_forward_pre_hook(lambda layer, _: called.append(layer))
        for layer in batch_norms(network)
    ]
    try:
        network(next(_batches(network, inputs[:2])))
    finally:
        for handle in handles:
            handle.remove()
    if len(set(called)) < len(called):
        raise UserError(
            "the network calls one BatchNorm layer several times, so it has no statistics of its "
            "own over the training set; give each call a layer, or set hessian.batch_norm to batch"
        )
    return called
