"""Augmented images: flipped, padded with black, cropped back (`deep_learning_limit` 4.3).

The padding is an eighth of the side, 4 pixels at 32x32 as in the paper, 2 at 16x16.

An augmented set of c T examples is c copies of the T images, each image of each copy with a flip
and a crop of its own. It is never stored: the random numbers of a copy come whole from the copy's
own seed, so the set is the same however it is cut, and a larger set begins with a smaller.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hessian_rmt.errors import UserError
from hessian_rmt.seeds import derive_seed


def padding(images: Tensor) -> int:
    """Pixels of padding on each side of images (n, c, h, w); a crop has 2 of them + 1 places."""
    return max(1, round(min(images.shape[2:]) / 8))


def flipped_crops(
    images: Tensor, flip: Tensor, top: Tensor, left: Tensor, *, black: Tensor
) -> Tensor:
    """Images (n, c, h, w) mirrored where `flip` (n,), padded with `black`, cropped at (top, left).

    top, left: (n,) integers from 0 to 2 `padding`, in whose middle lies the image's own place.
    """
    (n, channels, height, width), device = images.shape, images.device
    pad = padding(images)
    padded = F.pad(images - black, (pad, pad, pad, pad)) + black
    padded = torch.where(flip[:, None, None, None], padded.flip(3), padded)
    rows = (top[:, None] + torch.arange(height, device=device))[:, None, :, None]
    columns = (left[:, None] + torch.arange(width, device=device))[:, None, None, :]
    example = torch.arange(n, device=device)[:, None, None, None]
    channel = torch.arange(channels, device=device)[None, :, None, None]
    return padded[example, channel, rows, columns]


class AugmentedSet:
    """`copies` augmented copies of images and targets, as a re-iterable of micro-batches.

    seed: master seed and address, to which a copy's number is added. micro_batch: examples at once.
    Raises UserError for inputs that are no images.
    """

    def __init__(
        self,
        images: Tensor,
        targets: Tensor,
        copies: int,
        *,
        seed: Sequence[int | str],
        micro_batch: int,
    ) -> None:
        if images.ndim != 4:
            raise UserError(
                f"an augmented set needs images (channels, height, width), but one input has the "
                f"shape {tuple(images.shape[1:])}; ask for the sample full"
            )
        self.images, self.targets, self.copies = images, targets, copies
        self.seed, self.micro_batch, self.black = seed, micro_batch, images.amin()

    def __len__(self) -> int:
        """The number of examples, all copies together."""
        return self.copies * len(self.images)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for copy in range(self.copies):
            flip, top, left = self._draws(copy)
            for part in torch.arange(len(self.images)).split(self.micro_batch):
                here = slice(int(part[0]), int(part[-1]) + 1)
                images = flipped_crops(
                    self.images[here], flip[here], top[here], left[here], black=self.black
                )
                yield images, self.targets[here]

    def _draws(self, copy: int) -> tuple[Tensor, Tensor, Tensor]:
        master, *address = self.seed
        rng = np.random.default_rng(derive_seed(int(master), *address, copy))
        n, places = len(self.images), 2 * padding(self.images) + 1
        draws = rng.random(n) < 0.5, rng.integers(places, size=n), rng.integers(places, size=n)
        flip, top, left = (torch.from_numpy(values).to(self.images.device) for values in draws)
        return flip, top, left
