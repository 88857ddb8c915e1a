"""Spectral density of a run's Hessian over a sample of its training split, and a batch's noise.

The samples are the T training examples, c T augmented ones, and batches drawn from the T. A batch's
Hessian is H + E with H that of all T. Halves of the batch, of b_1 and b_2 examples out of b, give

    sqrt(b_1 b_2) / b (H_1 - H_2),   which has mean 0 and the covariance of E,

since examples are drawn independently. So its mean square eigenvalue, v^T (.)^2 v for random unit
v, is an unbiased estimate of tr E^2 / N = (N / b) sigma^2, the N / T sigma_epsilon^2 of
`deep_learning_limit` (18), without a product over all T examples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hessian_rmt.curvature.hessian import HessianOperator, Loss, examples_within
from hessian_rmt.curvature.outliers import draw_batch
from hessian_rmt.curvature.quadrature import SpectralQuadrature, lanczos_quadrature
from hessian_rmt.data.augmentation import AugmentedSet
from hessian_rmt.errors import UserError
from hessian_rmt.jobs import Log
from hessian_rmt.seeds import derive_seed

Track = Callable[[range], Iterable[int]]


@dataclass(frozen=True)
class Sample:
    """What a Hessian is taken over: `copies` of the training split, 0 for the split as it is, or a
    batch of `batch_size` drawn with `seed`.
    """

    copies: int = 0
    batch_size: int = 0
    seed: int = 0


def parse_sample(name: str) -> Sample:
    """The sample of an address: ``full``, ``augmented-010`` or ``draw-000256-03``."""
    kind, *numbers = name.split("-")
    if kind == "draw":
        return Sample(batch_size=int(numbers[0]), seed=int(numbers[1]))
    return Sample(copies=int(numbers[0]) if numbers else 0)


def density_table(
    run: str,
    settings: Mapping[str, Any],
    network: nn.Module,
    loss: Loss,
    inputs: Tensor,
    targets: Tensor,
    epoch: int,
    name: str,
    log: Log,
    *,
    start: np.ndarray | None = None,
) -> dict[str, Any]:
    """The fields of `SpectralQuadrature` over the sample `name`, and those of a batch's noise.

    settings: the run's {seed, compute} and density: {steps, probes, micro_batch, memory_mb}, for
    batches with noise_steps and noise_probes too. The random vectors are the same for every sample
    of an epoch, so that samples differ by their examples alone. Batches are those of `draw_batch`.

    start: vectors (j, P), such as another sample's `extreme_vectors`; Lanczos begins with their sum
    in place of a random vector, so that few steps give extreme eigenvalues, but no density.

    Further fields: parameters, examples, copies (0: not augmented), batch_size (0: no batch),
    sample_loss, random_start; extreme_vectors in single precision, not of batches. Raises
    UserError where the Lanczos basis does not fit in density.memory_mb.
    """
    density, sample, master = settings["density"], parse_sample(name), settings["seed"]
    _check_basis(network, density)
    memory_mb = settings["compute"]["memory_mb"]
    if sample.batch_size:
        batch = draw_batch(master, run, epoch, sample.batch_size, sample.seed, len(inputs))
        inputs, targets = inputs[batch.to(inputs.device)], targets[batch.to(targets.device)]
    if sample.copies:
        fitting = examples_within(network, loss, inputs, targets, memory_mb)
        augmented = AugmentedSet(
            inputs,
            targets,
            sample.copies,
            seed=(master, run, "augmented"),
            micro_batch=min(density["micro_batch"], fitting),
        )
        hessian = HessianOperator(network, loss, augmented, graph="stream")
    else:
        hessian = HessianOperator(
            network,
            loss,
            inputs,
            targets,
            micro_batch=min(density["micro_batch"], len(inputs)),
            memory_mb=memory_mb,
        )

    def track(what: str) -> Track:
        return lambda steps: log.progress(steps, label=f"{run} epoch {epoch} {name} {what}")

    found = lanczos_quadrature(
        hessian,
        density["steps"],
        probes=density["probes"],
        seed=derive_seed(master, run, "density", epoch),
        start=None if start is None else start.sum(axis=0, dtype=np.float64),
        vectors=not sample.batch_size,
        progress=track("density"),
    )
    low, high = found.nodes.argmin(), found.nodes.argmax()
    log.line(
        f"{hessian.core.examples} examples, {hessian.shape[0]} parameters, "
        f"{found.matvecs} products: "
        f"smallest Ritz value {found.nodes[low]:.5g} within {found.residuals[low]:.1e}, "
        f"largest {found.nodes[high]:.5g} within {found.residuals[high]:.1e}"
    )
    table = {key: value for key, value in vars(found).items() if value is not None} | {
        "parameters": hessian.shape[0],
        "examples": hessian.core.examples,
        "copies": sample.copies,
        "batch_size": sample.batch_size,
        "sample_loss": hessian.value,
        "random_start": start is None,
    }
    if found.extreme_vectors is not None:
        table["extreme_vectors"] = found.extreme_vectors.astype(np.float32)
    if sample.batch_size >= 2:
        del hessian  # its graph makes room for those of the halves
        noise = lanczos_quadrature(
            HalvesDifference(network, loss, inputs, targets, memory_mb),
            density["noise_steps"],
            probes=density["noise_probes"],
            seed=derive_seed(master, run, "noise", epoch, sample.batch_size, sample.seed),
            progress=track("noise"),
        )
        table |= _noise_fields(noise)
    return table


def _noise_fields(noise: SpectralQuadrature) -> dict[str, Any]:
    names = ("nodes", "weights", "residuals", "probe")
    return {f"noise/{name}": getattr(noise, name) for name in names}


class HalvesDifference:
    """sqrt(b_1 b_2) / b (H_1 - H_2), the Hessians of a batch's two halves, as an operator."""

    def __init__(
        self, network: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor, memory_mb: float
    ) -> None:
        half, b = len(inputs) // 2, len(inputs)
        self.halves = [
            HessianOperator(network, loss, x, y, memory_mb=memory_mb / 2)
            for x, y in ((inputs[:half], targets[:half]), (inputs[half:], targets[half:]))
        ]
        self.scale = (half * (b - half)) ** 0.5 / b
        self.shape, self.device = self.halves[0].shape, self.halves[0].device

    def matvec(self, v: Tensor) -> Tensor:
        first, second = (half.matvec(v) for half in self.halves)
        return self.scale * (first - second)


def _check_basis(network: nn.Module, density: Mapping[str, Any]) -> None:
    parameters = sum(p.numel() for p in network.parameters())
    steps = max(density["steps"], density.get("noise_steps", 0))
    needed = (steps + 4) * parameters * torch.float64.itemsize / 2**20
    if needed > density["memory_mb"]:
        raise UserError(
            f"{steps} Lanczos vectors of {parameters} parameters take {needed:.0f} MB, and "
            f"density.memory_mb is {density['memory_mb']}; ask for fewer steps or more memory"
        )
