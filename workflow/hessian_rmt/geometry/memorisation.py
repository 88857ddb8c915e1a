"""The memorisation task of `geometry` 6.4, and its runs from their own addresses.

Data and targets are standard normal, weights N(0, 1 / n); with n features, hidden units and outputs
and m examples phi = 2 n^2 / (m n) = 2 n / m.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hessian_rmt.geometry.networks import Networks
from hessian_rmt.seeds import derive_seed

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Runs:
    """Networks with their initial parameters (B, P) and the random fractions (B,) of the initial
    loss at which their descent is to stop."""

    networks: Networks
    theta: Array
    uniform: Array


def memorisation_runs(
    width: int, examples: int, runs: Iterable[int], *, seed: int, activation: str = "tanh"
) -> Runs:
    """The numbered `runs`; each depends on `seed`, `examples` and its own number alone.

    So a search by another method, or another cut of the grid into jobs, begins at the same points.
    """
    inputs, targets, theta, uniform = [], [], [], []
    for run in runs:
        rng = np.random.default_rng(derive_seed(seed, "memorisation", width, examples, run))
        inputs.append(rng.standard_normal((width, examples)))
        targets.append(rng.standard_normal((width, examples)))
        uniform.append(rng.random())
        theta.append(rng.standard_normal(2 * width * width) / np.sqrt(width))
    networks = Networks(np.stack(inputs), np.stack(targets), width, activation)
    return Runs(networks, np.stack(theta), np.array(uniform))


def quadratic_law(phi: Any) -> Any:
    """(1 - phi)^2 / 2, the paper's observation for tanh networks."""
    return (1 - phi) ** 2 / 2


def linear_law(phi: Any, *, printed: bool = False) -> Any:
    """The mean least-squares minimum (1 - phi / 2) / 2; printed as (1 - phi) / 2.

    n targets of m examples leave 1 - n / m of their variance to n inputs, and phi = 2 n / m.
    """
    return (1 - phi) / 2 if printed else (1 - phi / 2) / 2
