"""Pre-activation residual networks with bottleneck blocks (He et al., arXiv:1603.05027).

PreResNet110 of `deep_learning_limit` is three stages of 12 blocks at width 16 on CIFAR: 1,169,972
parameters with 100 classes, 1,146,842 with 10. Smaller depth and width give the same architecture.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from hessian_rmt.networks.convolutional import activation, initialise

_EXPANSION = 4


class _Bottleneck(nn.Module):
    """x + W_3 phi(W_2 phi(W_1 phi(x))), phi BatchNorm and ReLU; x convolved where it grows."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        out = _EXPANSION * width
        self.residual = nn.Sequential(
            *activation(channels),
            nn.Conv2d(channels, width, 1, bias=False),
            *activation(width),
            nn.Conv2d(width, width, 3, stride, padding=1, bias=False),
            *activation(width),
            nn.Conv2d(width, out, 1, bias=False),
        )
        same = stride == 1 and channels == out
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels, out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.residual(x)


def preresnet(
    input_shape: Sequence[int], classes: int, *, blocks: int = 12, width: int = 16
) -> nn.Sequential:
    """Three stages of `blocks` blocks, widths `width`, 2 `width`, 4 `width`; depth 9 blocks + 2.

    Any image size (channels, height, width): each of the last two stages halves it, and the mean
    over what is left goes to the linear head, with 16 `width` features.
    """
    layers: list[nn.Module] = [nn.Conv2d(input_shape[0], width, 3, padding=1, bias=False)]
    channels = width
    for stage in range(3):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            layers.append(_Bottleneck(channels, width << stage, stride))
            channels = _EXPANSION * (width << stage)
    layers += [*activation(channels), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return initialise(nn.Sequential(*layers, nn.Linear(channels, classes)))
