"""What a network's head sees: the inputs of its last linear layer (`applicability` section 4)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from hessian_rmt.errors import UserError
from hessian_rmt.jobs import Log

_BATCH = 256


@torch.no_grad()
def penultimate_features(network: nn.Module, inputs: np.ndarray, log: Log) -> np.ndarray:
    """The features (n, d), float32, of a network in evaluation mode for inputs (n, ...).

    Raises UserError where no linear layer is the network's head.
    """
    heads = [module for module in network.modules() if isinstance(module, nn.Linear)]
    if not heads:
        raise UserError("the network has no linear layer, so there are no features before its head")
    device = next(network.parameters()).device
    pieces: list[np.ndarray] = []

    def keep(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        pieces.append(arguments[0].float().cpu().numpy())

    handle = heads[-1].register_forward_pre_hook(keep)
    try:
        starts = range(0, len(inputs), _BATCH)
        for start in log.progress(starts, label="features"):
            network(torch.from_numpy(inputs[start : start + _BATCH]).to(device))
    finally:
        handle.remove()
    features = np.concatenate(pieces)
    if features.shape != (len(inputs), heads[-1].in_features):
        raise UserError(
            f"the last linear layer is given {features.shape} numbers for {len(inputs)} examples, "
            "so it is no head; features are the inputs of a head that each example meets once"
        )
    return features
