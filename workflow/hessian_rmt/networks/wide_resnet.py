"""Wide residual networks (Zagoruyko & Komodakis, arXiv:1605.07146), WRN-28-10 by default.

With 100 classes WRN-28-10 has 36,546,980 parameters, its convolutions with biases: the network of
`universality` section 2.4.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from hessian_rmt.networks.convolutional import activation, initialise


class _Basic(nn.Module):
    """x + W_2 phi(W_1 phi(x)), phi BatchNorm and ReLU; x convolved where it grows."""

    def __init__(self, channels: int, width: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *activation(channels),
            nn.Conv2d(channels, width, 3, padding=1),
            *([nn.Dropout(dropout)] if dropout else []),
            *activation(width),
            nn.Conv2d(width, width, 3, stride, padding=1),
        )
        same = stride == 1 and channels == width
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels, width, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.residual(x)


def wide_resnet(
    input_shape: Sequence[int],
    classes: int,
    *,
    depth: int = 28,
    widening: int = 10,
    width: int = 16,
    dropout: float = 0.0,
) -> nn.Sequential:
    """Three stages of (depth - 4) / 6 blocks, `widening` times `width`, 2 `width`, 4 `width` wide.

    Any image size (channels, height, width): each of the last two stages halves it, and the mean
    over what is left goes to the linear head. Raises ValueError for a depth that is not 6 n + 4.
    """
    blocks, rest = divmod(depth - 4, 6)
    if rest or blocks < 1:
        raise ValueError(f"the depth is 6 n + 4 with n blocks a stage (10, 16, 28), not {depth}")
    layers: list[nn.Module] = [nn.Conv2d(input_shape[0], width, 3, padding=1)]
    channels = width
    for stage in range(3):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            layers.append(_Basic(channels, widening * width << stage, stride, dropout))
            channels = widening * width << stage
    layers += [*activation(channels), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return initialise(nn.Sequential(*layers, nn.Linear(channels, classes)))
