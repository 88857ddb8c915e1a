"""ResNet-34 with ImageNet weights, the feature extractor of `applicability` section 4."""

from collections.abc import Sequence
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hessian_rmt.errors import UserError

_RESIZED, _CROP = 256, 224
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class _AsImageNet(nn.Module):
    """Colour images in [0, 1] of any size as ImageNet's test images: resized, centre crop."""

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, size=_RESIZED, mode="bilinear", antialias=True)
        margin = (_RESIZED - _CROP) // 2
        x = x[..., margin : margin + _CROP, margin : margin + _CROP]
        mean, deviation = (x.new_tensor(v)[:, None, None] for v in (_MEAN, _DEVIATION))
        return (x - mean) / deviation


def resnet34_imagenet(
    input_shape: Sequence[int], classes: int, *, weights: str | None = "IMAGENET1K_V1"
) -> nn.Sequential:
    """torchvision's ResNet-34, 512 features before its head of 1,000 classes.

    For data sets with ``standardise: false``. `classes` is not used: the head stays ImageNet's, and
    only what enters it is. weights: None for a random initialisation. Raises UserError where the
    weights cannot be had, or images have no three channels.
    """
    from hessian_rmt.vision import torchvision

    if len(input_shape) != 3 or input_shape[0] != 3:
        raise UserError(
            f"resnet34_imagenet takes colour images (3, height, width), not {tuple(input_shape)}"
        )
    try:
        network = torchvision.models.resnet34(weights=weights)
    except (URLError, OSError) as error:
        url = torchvision.models.ResNet34_Weights[weights].url
        raise UserError(
            f"the weights of ResNet-34 could not be fetched ({error}); put {url} into "
            f"{torch.hub.get_dir()}/checkpoints/ by hand"
        ) from error
    return nn.Sequential(_AsImageNet(), network)
