"""Figure 8 of `applicability` as published: ResNet-50 on ImageNet, one training per budget.

Lowest validation loss and error, each with the epoch where it is attained, as numbers of the
published curves (Baskerville, Granziol and Keating, figure 8), and the parameters (a, b, c) of
a + b exp(c t) of the lines drawn through them.
"""

import numpy as np

from hessian_rmt.generalisation.decay_fits import Array

_MINIMA = np.array(
    [
        # budget, epoch of the lowest loss, loss, epoch of the lowest error, error
        (15, 14, 1.351, 13, 0.333),
        (30, 29, 1.122, 29, 0.279),
        (45, 44, 1.052, 43, 0.262),
        (60, 59, 1.010, 56, 0.253),
        (90, 80, 0.967, 88, 0.242),
        (120, 102, 0.955, 102, 0.235),
        (150, 129, 0.942, 121, 0.235),
        (180, 140, 0.947, 149, 0.235),
        (210, 152, 0.944, 158, 0.233),
        (270, 204, 0.938, 206, 0.231),
        (300, 210, 0.932, 224, 0.228),
    ]
)

# What the published curves are drawn with: the epoch attained is the axis, not the budget.
PARAMETERS = {
    "loss": (0.94325, 0.76132, -0.04585),
    "error": (0.23295, 0.16744, -0.04067),
}


def published_minima() -> dict[str, Array]:
    """`budget` and, for Q of loss and error, `Q_epoch` and `Q`, each (11,)."""
    names = ("budget", "loss_epoch", "loss", "error_epoch", "error")
    return dict(zip(names, _MINIMA.T.copy(), strict=True))
