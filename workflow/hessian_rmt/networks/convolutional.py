"""What the convolutional networks share."""

from torch import nn


def activation(channels: int) -> tuple[nn.Module, nn.Module]:
    """BatchNorm and ReLU, before a convolution."""
    return nn.BatchNorm2d(channels), nn.ReLU()


def initialise(network: nn.Sequential) -> nn.Sequential:
    """The network, its convolutions drawn as He et al. do (arXiv:1502.01852, over the outputs)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network
