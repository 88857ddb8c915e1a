"""One job of the critical-point grid (`geometry` figure 6): consecutive runs at one phi.

Arms: `newton`, every run, to the paper's |grad L|^2 < 1e-6; `refined`, the first runs again, on to
1e-12; `descent`, the paper's method from the same starts, its ends then taken on by `newton`;
`minimum`, minimisers below the first runs; `linear`, linear networks, whose minimum is known.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hessian_rmt.geometry.critical_points import (
    CriticalPoints,
    State,
    descend_to_random_loss,
    find_critical_points,
)
from hessian_rmt.geometry.elimination import Eliminated
from hessian_rmt.geometry.memorisation import memorisation_runs
from hessian_rmt.geometry.minima import find_minima
from hessian_rmt.geometry.networks import Networks

Array = NDArray[np.float64]
ARMS = ("newton", "refined", "descent", "minimum", "linear")
ACCEPT = 1e-6  # the paper's bound on |grad L|^2
REFINED = 1e-12
HESSIANS = 16  # at a time


def search_runs(
    arm: str,
    examples: int,
    runs: Iterable[int],
    settings: Mapping[str, Any],
    *,
    state: State | None = None,
    on_state: Callable[[State], None] | None = None,
    track: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> dict[str, Any]:
    """The arrays of one job, one row per run, discarded runs included.

    run, initial_energy, wanted_energy, start_energy, start_capped; energy, gradient_squared, steps,
    status, accepted_steps; eigenvalues (B, P) of the Hessian; exact_energy (linear arm: the least
    squares minimum); accepted_energy and reduced_index, accepted_reduced_index (refined arm);
    continued_energy, continued_gradient_squared, continued_eigenvalues (descent arm).
    Of the minimum arm: run, energy, gradient_squared, steps, smallest (see `find_minima`).
    Energies are L / n. `settings`: seed, width, learning_rate, start_steps and {arm}_steps.
    """
    runs = list(runs)
    activation = "linear" if arm == "linear" else "tanh"
    task = memorisation_runs(
        settings["width"], examples, runs, seed=settings["seed"], activation=activation
    )
    networks, n = task.networks, settings["width"]
    start = descend_to_random_loss(
        networks,
        task.theta,
        0 * task.uniform if arm == "minimum" else task.uniform,
        learning_rate=settings["learning_rate"],
        max_steps=settings["start_steps"],
    )
    if arm == "minimum":
        lowest = find_minima(networks, start.theta, max_steps=settings["minimum_steps"])
        return {
            "run": np.array(runs),
            "energy": lowest.loss / n,
            "gradient_squared": lowest.gradient_squared,
            "steps": lowest.steps,
            "smallest": lowest.smallest,
        }
    found = find_critical_points(
        networks,
        start.theta,
        method="descent" if arm == "descent" else "newton",
        tolerance=REFINED if arm in ("refined", "linear") else ACCEPT,
        accept=ACCEPT,
        max_steps=settings["newton_steps" if arm == "linear" else f"{arm}_steps"],
        state=state,
        on_state=on_state,
        every=1000 if arm == "descent" else 10,
        track=track,
    )
    return {
        "run": np.array(runs),
        "initial_energy": start.initial_loss / n,
        "wanted_energy": start.wanted_loss / n,
        "start_energy": start.loss / n,
        "start_capped": start.capped,
        "energy": found.loss / n,
        "gradient_squared": found.gradient_squared,
        "steps": found.steps,
        "status": found.status,
        "accepted_steps": found.accepted_steps,
        "eigenvalues": hessian_eigenvalues(networks, found.theta),
    } | _of_arm(arm, networks, found, settings)


def hessian_eigenvalues(networks: Networks, theta: Array) -> Array:
    """Eigenvalues (B, P) of the Hessians at `theta`, ascending."""
    starts = range(0, networks.count, HESSIANS)
    return np.concatenate(
        [
            np.linalg.eigvalsh(networks.take(part).hessian(theta[part]))
            for part in (slice(start, start + HESSIANS) for start in starts)
        ]
    )


def least_squares_loss(networks: Networks) -> Array:
    """min over matrices M of |M x - y|^2 / (2 m), the minimum of square linear networks (B,)."""
    residuals = []
    for x, y in zip(networks.inputs, networks.targets, strict=True):
        solution = np.linalg.lstsq(x.T, y.T, rcond=None)[0]
        residuals.append(np.sum((x.T @ solution - y.T) ** 2) / (2 * x.shape[1]))
    return np.array(residuals)


def _of_arm(
    arm: str, networks: Networks, found: CriticalPoints, settings: Mapping[str, Any]
) -> dict[str, Any]:
    n = settings["width"]
    if arm == "linear":
        return {"exact_energy": least_squares_loss(networks) / n}
    if arm == "refined":
        reached = np.flatnonzero(found.accepted_steps >= 0)
        energy, index = np.full((2, networks.count), np.nan)
        some, theta = networks.take(reached), found.accepted_theta[reached]
        if reached.size:
            energy[reached], index[reached] = some.loss(theta) / n, _reduced_index(some, theta)
        return {
            "accepted_energy": energy,
            "accepted_reduced_index": index,
            "reduced_index": _reduced_index(networks, found.theta),
        }
    if arm == "descent":
        further = find_critical_points(
            networks, found.theta, tolerance=ACCEPT, max_steps=settings["newton_steps"]
        )
        return {
            "continued_energy": further.loss / n,
            "continued_gradient_squared": further.gradient_squared,
            "continued_eigenvalues": hessian_eigenvalues(networks, further.theta),
        }
    return {}


def _reduced_index(networks: Networks, theta: Array) -> Array:
    """Negative eigenvalues of the Hessian with the second layer eliminated, over P: the index."""
    eliminated = Eliminated(networks)
    hessians = eliminated.hessian(eliminated.at(eliminated.first_layer(theta)))
    return (np.linalg.eigvalsh(hessians) < 0).sum(axis=1) / networks.parameters
