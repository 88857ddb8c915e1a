"""The outermost eigenvalues of one drawn batch's Hessian, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from torch import Tensor, nn

from hessian_rmt.curvature.extreme import extreme_eigenvalues
from hessian_rmt.curvature.hessian import HessianOperator, Loss
from hessian_rmt.curvature.outliers import draw_batch
from hessian_rmt.jobs import Log
from hessian_rmt.seeds import derive_seed


def extreme_table(
    run: str,
    settings: Mapping[str, Any],
    network: nn.Module,
    loss: Loss,
    inputs: Tensor,
    targets: Tensor,
    epoch: int,
    sample: str,
    log: Log,
) -> dict[str, Any]:
    """The fields of `ExtremeEigenvalues`, batch_loss, and batch_size and seed of the batch.

    sample: ``draw-000128-03`` is the batch of 128 examples that `outlier_table` draws for seed 3.
    network: in float64, in which the gradient's graph is then kept from product to product.
    """
    _, size, index = sample.split("-")
    batch_size, seed = int(size), int(index)
    batch = draw_batch(settings["seed"], run, epoch, batch_size, seed, len(inputs))
    batch = batch.to(inputs.device)
    hessian = HessianOperator(
        network,
        loss,
        inputs[batch].double(),
        targets[batch],
        memory_mb=settings["compute"]["memory_mb"],
    )
    found = extreme_eigenvalues(
        hessian,
        settings["extreme"]["products"],
        seed=derive_seed(settings["seed"], run, "extreme", epoch, batch_size, seed),
        memory_mb=settings["extreme"]["memory_mb"],
    )
    log.line(
        f"dimension {hessian.core.shape[0]} of {hessian.shape[0]}, {found.matvecs} products: "
        f"{len(found.lower)} certified below {found.floor:.4g}, "
        f"{len(found.upper)} above {found.ceiling:.4g}; basis orthonormal to "
        f"{found.orthogonality:.0e}"
    )
    return asdict(found) | {"batch_size": batch_size, "seed": seed, "batch_loss": hessian.value}
