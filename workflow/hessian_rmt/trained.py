"""A run's network at one of its checkpoints: what every spectrum is taken of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hessian_rmt.data.loading import Dataset, load_dataset
from hessian_rmt.jobs import Log, threads_granted
from hessian_rmt.networks.batch_norm import set_batch_norm
from hessian_rmt.networks.precision import without_tf32
from hessian_rmt.provenance import Stopwatch, provenance
from hessian_rmt.training import (
    load_checkpoint,
    loss_function,
    network_at,
    resolve_device,
    verify_loss,
)


@dataclass(frozen=True)
class TrainedRun:
    """The network in evaluation mode on its device, the data, and where both come from."""

    epoch: int
    network: nn.Module
    loss: Callable[[Tensor, Tensor], Tensor]
    training_loss: float
    data: Dataset
    device: torch.device
    settings: Mapping[str, Any]
    checkpoint: str
    threads: int
    stopwatch: Stopwatch

    def examples(self, part: str) -> tuple[Tensor, Tensor]:
        """Inputs and targets on the device; part: "train" or "test", the held-out split."""
        inputs, targets = {
            "train": (self.data.train_inputs, self.data.train_targets),
            "test": (self.data.held_out_inputs, self.data.held_out_targets),
        }[part]
        return torch.from_numpy(inputs).to(self.device), torch.from_numpy(targets).to(self.device)

    def held_out(self, count: int) -> tuple[Tensor, Tensor]:
        """The first `count` held-out examples on the device; no more than these are read."""
        inputs, targets = (
            torch.from_numpy(array[:count]).to(self.device)
            for array in (self.data.held_out_inputs, self.data.held_out_targets)
        )
        return inputs, targets

    def provenance(self, *packages: str) -> dict[str, str | int | float]:
        """The record of a result that torch, numpy and `packages` have computed."""
        return provenance(
            self.settings,
            inputs=[self.checkpoint],
            threads=self.threads,
            device=str(self.device),
            stopwatch=self.stopwatch,
            packages=("torch", "numpy", *packages),
        )


def trained_run(
    run: str,
    settings: Mapping[str, Any],
    data_folder: str | Path,
    checkpoint: str,
    granted: int,
    log: Log | None = None,
) -> TrainedRun:
    """Load a run, let torch compute with the threads of its settings, and verify its loss.

    settings: a run's {seed, dataset, network, training, compute}, and `hessian` where its Hessian
    is to be taken: BatchNorm then normalises as that says (`networks.batch_norm`), where otherwise
    it has the averages that training left. granted: threads that Snakemake grants. Raises UserError
    for fewer threads than set, for damaged files, and where the training loss is not the recorded
    one.
    """
    stopwatch = Stopwatch()
    torch.set_num_threads(threads_granted(granted, settings))
    device = resolve_device(settings["compute"]["device"])
    data = load_dataset(settings["dataset"], data_folder)
    saved = load_checkpoint(checkpoint)
    network = network_at(run, settings, data, saved)
    training_loss = verify_loss(network, settings, data, saved)
    if "hessian" in settings:
        with without_tf32():
            set_batch_norm(network, settings["hessian"]["batch_norm"], data.train_inputs, log)
    return TrainedRun(
        epoch=saved.epoch,
        training_loss=training_loss,
        network=network,
        loss=loss_function(settings["training"]["loss"]),
        data=data,
        device=device,
        settings=settings,
        checkpoint=checkpoint,
        threads=granted,
        stopwatch=stopwatch,
    )
