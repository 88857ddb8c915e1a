"""VGG networks for small images (Simonyan & Zisserman, arXiv:1409.1556), VGG16 by default.

With 100 classes and images of 32x32: 15,291,300 parameters without BatchNorm, the network of
`universality` section 2.4, and 15,299,748 with it, that of `deep_learning_limit` section 5.
"""

from collections.abc import Sequence

from torch import nn

from hessian_rmt.networks.convolutional import initialise

_WIDENING = (1, 2, 4, 8, 8)


def vgg(
    input_shape: Sequence[int],
    classes: int,
    *,
    convolutions: Sequence[int] = (2, 2, 3, 3, 3),
    width: int = 64,
    batch_norm: bool = False,
    dropout: float = 0.5,
) -> nn.Sequential:
    """Stages of 3x3 convolutions, each halving the image, and two hidden layers with dropout.

    convolutions: their number in each of at most five stages, whose widths are `width` times 1, 2,
    4, 8, 8; the hidden layers are as wide as the last stage. Images (channels, height, width) of
    any size: one that is down to a pixel is halved no further, and what is left after the last
    stage is averaged, which on 32x32 with five stages changes nothing.
    """
    layers: list[nn.Module] = []
    channels, size = input_shape[0], min(input_shape[1:])
    for number, widening in zip(convolutions, _WIDENING, strict=False):
        for _ in range(number):
            layers.append(nn.Conv2d(channels, width * widening, 3, padding=1))
            channels = width * widening
            layers += [nn.BatchNorm2d(channels)] if batch_norm else []
            layers.append(nn.ReLU())
        if size > 1:
            layers.append(nn.MaxPool2d(2))
            size //= 2
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    for _ in range(2):
        layers += [nn.Dropout(dropout), nn.Linear(channels, channels), nn.ReLU()]
    return initialise(nn.Sequential(*layers, nn.Linear(channels, classes)))
