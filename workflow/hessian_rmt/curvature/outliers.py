"""Outliers of batch Hessians over a grid of batch sizes and seeds (`universality` 2.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hessian_rmt.curvature.hessian import HessianOperator
from hessian_rmt.curvature.lanczos import Eigenpairs, basis_megabytes, top_eigenpairs
from hessian_rmt.errors import UserError
from hessian_rmt.jobs import Log
from hessian_rmt.seeds import derive_seed

TABLE_FIELDS = ("values", "residuals", "converged", "matvecs", "batch_loss")


def outlier_table(
    run: str,
    settings: Mapping[str, Any],
    network: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    inputs: Tensor,
    targets: Tensor,
    epoch: int,
    unit: OutlierUnit,
    log: Log,
) -> dict[str, np.ndarray]:
    """Eigenpairs' values and certificates for each (batch size, seed) of a unit.

    Each batch is drawn independently with replacement (`universality` (2.1)) from its own seed, and
    solved on its own, so a number depends on its address alone, not on the unit it is computed in.

    Returns batch_size (B,), seed (S,), values and residuals (B, S, k), and converged, matvecs,
    batch_loss (B, S). Raises UserError where the Lanczos basis takes more than curvature.memory_mb.
    """
    curvature = settings["curvature"]
    k = curvature["outliers"]
    _refuse_memory(run, sum(p.numel() for p in network.parameters()), k, curvature["memory_mb"])
    shape = (len(unit.batch_sizes), len(unit.seeds))
    table = {
        "batch_size": np.array(unit.batch_sizes),
        "seed": np.array(unit.seeds),
        "values": np.empty((*shape, k)),
        "residuals": np.empty((*shape, k)),
        "converged": np.empty(shape, dtype=bool),
        "matvecs": np.empty(shape, dtype=np.int64),
        "batch_loss": np.empty(shape),
    }
    cells = [(i, j) for i in range(shape[0]) for j in range(shape[1])]
    for i, j in log.progress(cells, label=f"{run} epoch {epoch} outliers"):
        size, index = unit.batch_sizes[i], unit.seeds[j]
        batch = draw_batch(settings["seed"], run, epoch, size, index, len(inputs)).to(inputs.device)
        seed = derive_seed(settings["seed"], run, "lanczos", epoch, size, index)
        pairs, batch_loss = _outliers(
            network, loss, inputs[batch], targets[batch], settings, seed=seed
        )
        table["values"][i, j], table["residuals"][i, j] = pairs.values, pairs.residuals
        table["converged"][i, j], table["matvecs"][i, j] = pairs.converged, pairs.matvecs
        table["batch_loss"][i, j] = batch_loss
        if j == shape[1] - 1:
            log.line(
                f"batch size {size}: mean outliers {table['values'][i].mean(axis=0).round(4)}, "
                f"{int(table['matvecs'][i].sum())} products"
            )
    return table


def _outliers(
    network: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    inputs: Tensor,
    targets: Tensor,
    settings: Mapping[str, Any],
    *,
    seed: int,
) -> tuple[Eigenpairs, float]:
    """A batch's pairs and loss; its graph is gone before the next batch's is built."""
    hessian = HessianOperator(
        network, loss, inputs, targets, memory_mb=settings["compute"]["memory_mb"]
    )
    curvature = settings["curvature"]
    pairs = top_eigenpairs(hessian, curvature["outliers"], tol=curvature["tolerance"], seed=seed)
    return pairs, hessian.value


def _refuse_memory(run: str, parameters: int, k: int, memory_mb: float) -> None:
    needed = basis_megabytes(parameters, k)
    if needed > memory_mb:
        raise UserError(
            f"the Lanczos basis of {parameters:,} parameters takes {needed:,.0f} MB, above "
            f"runs.{run}.curvature.memory_mb, which is {memory_mb}; raise it"
        )


def draw_batch(master: int, run: str, epoch: int, size: int, index: int, examples: int) -> Tensor:
    """Indices of a batch: `size` independent uniform draws from `examples`."""
    generator = np.random.default_rng(derive_seed(master, run, "batch", epoch, size, index))
    return torch.from_numpy(generator.integers(examples, size=size))


@dataclass(frozen=True)
class OutlierUnit:
    """A part of an epoch's grid: all of it, one batch size, or one seed of one batch size."""

    batch_sizes: Sequence[int]
    seeds: Sequence[int]


def parse_unit(unit: str, batch_sizes: Sequence[int], seeds: int) -> tuple[int, OutlierUnit]:
    """Epoch and grid part of an address such as ``epoch-005/batch-000256/seed-03``.

    Raises UserError for a batch size or seed that is not in the run's grid.
    """
    parts = dict(part.rsplit("-", 1) for part in unit.split("/"))
    for name, allowed in (("batch", batch_sizes), ("seed", range(seeds))):
        if name in parts and int(parts[name]) not in allowed:
            raise UserError(
                f"{unit} is not in the run's grid, whose batch sizes are "
                f"{', '.join(map(str, batch_sizes))} and seeds 0 to {seeds - 1}; ask for one"
            )
    return int(parts["epoch"]), OutlierUnit(
        [int(parts["batch"])] if "batch" in parts else list(batch_sizes),
        [int(parts["seed"])] if "seed" in parts else list(range(seeds)),
    )
