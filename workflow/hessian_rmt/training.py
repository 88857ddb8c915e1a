"""Stochastic gradient descent in segments between checkpoints, resumable and equal to the bit.

An epoch's random numbers (order, augmentation, dropout) come from a seed derived from the run and
the epoch, and everything else that an epoch needs (weights, buffers, momentum) lies in the
checkpoint: so a run that was killed, or cut into segments, ends with the weights of an
uninterrupted one.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hessian_rmt.averaging import TailAverage, table
from hessian_rmt.data.augmentation import flipped_crops, padding
from hessian_rmt.data.feeding import Inputs
from hessian_rmt.data.image_folder import ImageFiles
from hessian_rmt.data.loading import Dataset
from hessian_rmt.errors import UserError
from hessian_rmt.jobs import Log
from hessian_rmt.networks import BUILDERS, build_network
from hessian_rmt.networks.batch_norm import batch_norms
from hessian_rmt.networks.layout import fastest_layout
from hessian_rmt.networks.precision import without_tf32
from hessian_rmt.seeds import derive_seed
from hessian_rmt.storage import sha256_of_file, write_bytes

HISTORY_COLUMNS = (
    "epoch",
    "learning_rate",
    "train_loss",
    "train_accuracy",
    "held_out_loss",
    "held_out_accuracy",
)
# A mean loss this many times the initial one does not come back.
DIVERGED = 10.0
_EVALUATION_BATCH = 4096
_EVALUATION_NUMBERS = 2**24  # of the inputs in such a batch; fewer examples if they are large


@dataclass
class Checkpoint:
    """A network at the end of an epoch, with all that the next epoch needs.

    history: a row of `HISTORY_COLUMNS` per epoch, epoch 0 first, evaluated at that epoch's last
    weights.
    settings: the settings that produced it, as JSON.
    average: the state of the tail average, where the run has one and its tail has begun.
    """

    epoch: int
    weights: dict[str, Tensor]
    optimiser: dict[str, Any]
    settings: str
    history: list[list[float]] = field(default_factory=list)
    average: dict[str, Any] = field(default_factory=dict)


def learning_rate(settings: Mapping[str, Any], epoch: int) -> float:
    """The learning rate in epoch 1, 2, ... of a training.

    ``linear_decay``: `universality` (B.1) with r = 0.01, t counting finished epochs; the same
    piecewise linear schedule as `applicability` section 4 (0.003 to 0.00003 between epochs 150 and
    270 of 300). ``step_decay``: divided by 10 after each third of the epochs, as ResNets are
    trained on ImageNet (He et al., arXiv:1512.03385: after 30 and 60 of 90).
    """
    if settings["schedule"] == "constant":
        return settings["learning_rate"]
    if settings["schedule"] == "step_decay":
        return settings["learning_rate"] / 10 ** (3 * (epoch - 1) // settings["epochs"])
    ratio, fraction = 0.01, (epoch - 1) / settings["epochs"]
    decay = 1 - (1 - ratio) * (fraction - 0.5) / 0.4
    return settings["learning_rate"] * min(1.0, max(ratio, decay))


def loss_function(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The mean loss over examples with this name in a run's training settings."""
    functions: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "cross_entropy": F.cross_entropy,
        "mean_squared_error": _mean_squared_error,
    }
    return functions[name]


def _mean_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    if not targets.is_floating_point():  # labels as one-hot vectors
        targets = F.one_hot(targets, outputs.shape[1]).to(outputs.dtype)
    return (outputs - targets.reshape_as(outputs)).square().sum(dim=1).mean()


def resolve_device(name: str) -> torch.device:
    """The device that `auto`, `cpu`, `cuda` or `cuda:i` names here."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"compute.device is {name!r}, but torch sees no GPU here; use auto or cpu")
    return torch.device(name)


def initial_checkpoint(run: str, settings: Mapping[str, Any], data: Dataset) -> Checkpoint:
    """Epoch 0: the network at its initialisation."""
    _refuse_targets_and_shapes(settings["training"], data)
    network = _build(run, settings, data)
    checkpoint = Checkpoint(0, network.state_dict(), {}, _settings_key(settings))
    checkpoint.history.append(_evaluate(network, settings, data, epoch=0))
    return checkpoint


def train_segment(
    run: str,
    settings: Mapping[str, Any],
    data: Dataset,
    start: Checkpoint,
    last_epoch: int,
    log: Log,
    *,
    state: Path | None = None,
) -> Checkpoint:
    """Train from `start` to the end of `last_epoch`.

    settings: a run's {seed, dataset, network, training, compute}. `state`: where to keep each
    finished epoch, so that a killed job goes on from there; removed at the end. Raises UserError
    when the loss is not finite or has grown to ten times the initial one.
    """
    training = settings["training"]
    device = resolve_device(settings["compute"]["device"])
    _refuse_targets_and_shapes(training, data)
    start = _newest(start, state, last_epoch, log)
    network = network_at(run, settings, data, start)
    optimiser = torch.optim.SGD(
        network.parameters(),
        lr=training["learning_rate"],
        momentum=training["momentum"],
        weight_decay=training["weight_decay"],
    )
    if start.optimiser:
        optimiser.load_state_dict(start.optimiser)
    loss = loss_function(training["loss"])
    cropped = training["augmentation"] == "resized_crop"
    inputs = Inputs(data.train_inputs, device, resized_crop=cropped)
    targets = torch.from_numpy(data.train_targets).to(device)
    black = inputs.tensor.amin() if inputs.tensor is not None else torch.zeros(())
    average = TailAverage(network, training.get("average_from"), start.average)
    checkpoint = start
    for epoch in range(start.epoch + 1, last_epoch + 1):
        torch.manual_seed(derive_seed(settings["seed"], _stream(run, training), "epoch", epoch))
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(training, epoch)
        network.train()
        order = torch.randperm(len(inputs)).to(device)
        batches = _steps(order, training["batch_size"], network)
        for batch in log.progress(batches, label=f"{run} epoch {epoch}"):
            x = inputs.batch(batch)
            if training["augmentation"] == "flip_crop":
                x = flip_crop(x, black=black)
            optimiser.zero_grad()
            loss(network(x), targets[batch]).backward()
            optimiser.step()
        row = _evaluate(network, settings, data, epoch=epoch)
        history = [*checkpoint.history, row]
        _refuse_divergence(run, history)
        average.add(
            epoch,
            network,
            partial(inputs.in_order, training["batch_size"]),
            partial(_evaluate, settings=settings, data=data, epoch=epoch),
        )
        checkpoint = Checkpoint(
            epoch,
            network.state_dict(),
            optimiser.state_dict(),
            start.settings,
            history,
            average.state(),
        )
        log.line(" ".join(f"{k}={v:g}" for k, v in zip(HISTORY_COLUMNS, row, strict=True)))
        if state is not None and epoch < last_epoch:
            save_checkpoint(state, checkpoint)
    if state is not None:
        state.unlink(missing_ok=True)
        _digest_path(state).unlink(missing_ok=True)
    return checkpoint


def _steps(order: Tensor, batch_size: int, network: nn.Module) -> list[Tensor]:
    """An epoch's batches; with BatchNorm, which one example gives no variance, a last one joins."""
    batches = list(order.split(batch_size))
    if batch_norms(network) and len(batches[-1]) == 1:
        if len(batches) == 1 or batch_size == 1:
            raise UserError(
                "training.batch_size leaves batches of one example, but the network has BatchNorm, "
                "which normalises with the statistics of a batch; take two or more"
            )
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def _newest(start: Checkpoint, state: Path | None, last_epoch: int, log: Log) -> Checkpoint:
    """The last epoch finished before an interruption, if it continues `start`; else `start`.

    It does when its settings and all losses so far are those of `start`, up to another machine's
    round-off: other data under the same name show in the losses. A state damaged by the
    interruption is as good as none.
    """
    if state is None or not state.exists():
        return start
    try:
        saved = load_checkpoint(state)
    except UserError:
        log.line("the state left by an interruption is damaged; starting the segment anew")
        return start
    same = saved.settings == start.settings
    rows = saved.history[: len(start.history)]
    same = same and len(rows) == len(start.history)
    same = same and np.allclose(rows, start.history, rtol=1e-4, atol=1e-6, equal_nan=True)
    if not (same and start.epoch < saved.epoch < last_epoch):
        log.line("the state left by an interruption is not of this segment; starting it anew")
        return start
    log.line(f"going on from epoch {saved.epoch}, the last one finished before an interruption")
    return saved


def _refuse_targets_and_shapes(training: Mapping[str, Any], data: Dataset) -> None:
    if training["augmentation"] == "flip_crop" and data.train_inputs.ndim != 4:
        raise UserError(
            f"training.augmentation is flip_crop, but one input has the shape "
            f"{data.input_shape}, not that of an image (channels, height, width); use none"
        )
    in_files = isinstance(data.train_inputs, ImageFiles)
    if training["augmentation"] == ("flip_crop" if in_files else "resized_crop"):
        raise UserError(
            f"training.augmentation is {training['augmentation']}, but the inputs are {data.kind}; "
            "resized_crop is for ImageNet, flip_crop for all others, none for both"
        )
    if training["loss"] == "cross_entropy" and data.classes is None:
        raise UserError(
            "training.loss is cross_entropy, but the targets are numbers, not labels; use "
            "mean_squared_error, or integer labels"
        )


def network_at(
    run: str, settings: Mapping[str, Any], data: Dataset, checkpoint: Checkpoint
) -> nn.Module:
    """The run's network with a checkpoint's weights, in evaluation mode, on the run's device."""
    network = _build(run, settings, data)
    try:
        network.load_state_dict(checkpoint.weights)
    except RuntimeError as error:
        raise UserError(
            f"the checkpoint of {run} at epoch {checkpoint.epoch} does not fit its network "
            f"({str(error).splitlines()[0]}); delete its folder in checkpoints/ and run again"
        ) from error
    return network.eval()


def verify_loss(
    network: nn.Module, settings: Mapping[str, Any], data: Dataset, checkpoint: Checkpoint
) -> float:
    """The training loss recomputed at the loaded weights: it must be the recorded one."""
    recomputed = _evaluate(network, settings, data, epoch=checkpoint.epoch)[2]
    recorded = checkpoint.history[-1][2]
    if not math.isclose(recomputed, recorded, rel_tol=1e-4, abs_tol=1e-6):
        raise UserError(
            f"the training loss at epoch {checkpoint.epoch} is {recomputed:.6g} where training "
            f"recorded {recorded:.6g}: data or network have changed; rerun the training"
        )
    return recomputed


def history_table(checkpoint: Checkpoint) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows by epoch: loss and accuracy, and those of the tail average where it is."""
    return table(HISTORY_COLUMNS, checkpoint.history, checkpoint.average)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, and beside it the SHA-256 that loading checks.

    Through memory, since torch.save writes the file's own name into the archive otherwise.
    """
    content = io.BytesIO()
    cpu = {name: tensor.detach().cpu() for name, tensor in checkpoint.weights.items()}
    torch.save({**vars(checkpoint), "weights": cpu}, content)
    write_bytes(path, content.getvalue())
    write_bytes(_digest_path(path), f"{sha256_of_file(path)}  {path.name}\n".encode())


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint and check its SHA-256; UserError naming the file if it is damaged."""
    path = Path(path)
    try:
        expected = _digest_path(path).read_text().split()[0]
        intact = sha256_of_file(path) == expected
        content = torch.load(path, map_location="cpu", weights_only=True) if intact else None
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} does not exist; run `snakemake {path}`") from None
    except Exception:  # whatever a damaged archive makes torch raise
        content = None
    if content is None:
        raise UserError(
            f"{path} is damaged (its SHA-256 is not the one beside it); delete it and run "
            f"`snakemake {path}` to make it again"
        )
    return Checkpoint(**content)


def flip_crop(inputs: Tensor, *, black: Tensor) -> Tensor:
    """Each image flipped with probability 1/2, padded with black, cropped back at random."""
    n, places, device = len(inputs), 2 * padding(inputs) + 1, inputs.device
    flip = torch.rand(n, device=device) < 0.5
    top = torch.randint(places, (n,), device=device)
    left = torch.randint(places, (n,), device=device)
    return flipped_crops(inputs, flip, top, left, black=black)


def _build(run: str, settings: Mapping[str, Any], data: Dataset) -> nn.Module:
    seed = derive_seed(settings["seed"], _stream(run, settings["training"]), "network")
    network = build_network(settings["network"], data.input_shape, data.outputs, seed=seed)
    network = network.to(resolve_device(settings["compute"]["device"]))
    # Of a user's own network nothing is known that would allow it
    return fastest_layout(network) if settings["network"]["name"] in BUILDERS else network


def _stream(run: str, training: Mapping[str, Any]) -> str:
    """The name that a run's seeds are derived from."""
    return training.get("stream", run)


@torch.no_grad()
@without_tf32()
def _evaluate(
    network: nn.Module, settings: Mapping[str, Any], data: Dataset, *, epoch: int
) -> list[float]:
    """A row of `HISTORY_COLUMNS`; accuracy is NaN for targets that are no classes."""
    network.eval()
    training, device = settings["training"], next(network.parameters()).device
    loss = loss_function(training["loss"])
    row = [epoch, learning_rate(training, epoch) if epoch else math.nan]
    for inputs, targets in (
        (data.train_inputs, data.train_targets),
        (data.held_out_inputs, data.held_out_targets),
    ):
        total, correct = 0.0, 0
        size = min(_EVALUATION_BATCH, max(1, _EVALUATION_NUMBERS // math.prod(inputs.shape[1:])))
        for i in range(0, len(inputs), size):
            x = torch.from_numpy(inputs[i : i + size]).to(device)
            y = torch.from_numpy(targets[i : i + size]).to(device)
            outputs = network(x)
            total += float(loss(outputs, y)) * len(x)
            if not y.is_floating_point():
                correct += int((outputs.argmax(1) == y).sum())
        is_label = np.issubdtype(targets.dtype, np.integer)
        row += [total / len(inputs), correct / len(inputs) if is_label else math.nan]
    return row


def _refuse_divergence(run: str, history: list[list[float]]) -> None:
    epoch, loss, initial = int(history[-1][0]), history[-1][2], history[0][2]
    if not math.isfinite(loss) or loss > DIVERGED * max(initial, 1e-12):
        raise UserError(
            f"the training of {run} diverged in epoch {epoch} (loss {loss:g}, {initial:g} at "
            f"initialisation); lower runs.{run}.training.learning_rate"
        )


def _settings_key(settings: Mapping[str, Any]) -> str:
    parts = {key: settings[key] for key in ("seed", "dataset", "network", "training")}
    return json.dumps(parts, sort_keys=True)


def _digest_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")
