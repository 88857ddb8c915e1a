"""The networks of `applicability` figures 7 and 8, as torchvision has them, untrained.

Wide ResNet-101-2 (Zagoruyko & Komodakis, arXiv:1605.07146) and ResNet-50 (He et al.,
arXiv:1512.03385): 126,886,696 and 25,557,032 parameters with 1,000 classes.
"""

from collections.abc import Sequence

from torch import nn


def imagenet_resnet(
    input_shape: Sequence[int], classes: int, *, architecture: str = "resnet50"
) -> nn.Module:
    """torchvision's network of this name; for colour images of any size from 32 pixels on."""
    from hessian_rmt.vision import torchvision

    if len(input_shape) != 3 or input_shape[0] != 3:
        raise ValueError(f"it takes colour images (3, height, width), not {tuple(input_shape)}")
    return torchvision.models.get_model(architecture, weights=None, num_classes=classes)
