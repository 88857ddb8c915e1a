"""Batches of inputs on a device, of arrays that lie there or of images that are read for each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from hessian_rmt.data.image_folder import ImageFiles


class Inputs:
    """A split's inputs: an array goes to the device once, images in files batch by batch.

    inputs: float32 (n, ...), or `ImageFiles`; resized_crop: whether batches of images are cropped
    and flipped at random, by seeds from torch's generator.
    """

    def __init__(self, inputs: Any, device: torch.device, *, resized_crop: bool = False) -> None:
        self._device, self._crop = device, resized_crop
        self._files = inputs if isinstance(inputs, ImageFiles) else None
        self.tensor = None if self._files is not None else torch.from_numpy(inputs).to(device)
        self._count = len(inputs)

    def __len__(self) -> int:
        return self._count

    def batch(self, numbers: Tensor) -> Tensor:
        """The inputs with these numbers, as they are trained on."""
        if self._files is None or not self._crop:
            return self._plain(numbers)
        seeds = torch.randint(2**62, (len(numbers),)).tolist()
        return torch.from_numpy(self._files.cropped(numbers.cpu().numpy(), seeds)).to(self._device)

    def in_order(self, size: int) -> Iterator[Tensor]:
        """All inputs in batches, without augmentation."""
        for numbers in torch.arange(len(self)).split(size):
            yield self._plain(numbers)

    def _plain(self, numbers: Tensor) -> Tensor:
        if self._files is not None:
            return torch.from_numpy(self._files[numbers.cpu().numpy()]).to(self._device)
        assert self.tensor is not None
        return self.tensor[numbers.to(self._device)]
