"""Multi-layer perceptrons, the papers' fully connected networks.

784-10-100-10 (9,960 parameters), 784-10-100-100-10 (20,060) and softmax regression (no hidden
layer; 7,850) of `applicability` section 4, and the perceptron of `universality` section 2.4.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}


def mlp(
    input_shape: Sequence[int],
    classes: int,
    *,
    hidden: Sequence[int] = (),
    activation: str = "relu",
    bias: bool = True,
) -> nn.Sequential:
    """A fully connected network on flattened inputs; with no hidden layer, softmax regression.

    A plain `nn.Sequential` that begins Flatten, Linear, so that `HessianOperator` can confine the
    first layer to the span of a batch's inputs.
    """
    widths = [math.prod(input_shape), *hidden, classes]
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in pairwise(widths[:-1]):
        layers += [nn.Linear(fan_in, fan_out, bias=bias), ACTIVATIONS[activation]()]
    layers.append(nn.Linear(widths[-2], widths[-1], bias=bias))
    return nn.Sequential(*layers)
