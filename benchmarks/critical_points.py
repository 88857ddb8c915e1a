"""Critical points and Hessians of many small networks against torch, one network at a time.

    OMP_NUM_THREADS=1 python benchmarks/critical_points.py [table.csv]

Networks 16-16-16 with tanh, 64 examples. Hessians: blocks in closed form against vmap(hessian),
both on all networks together. Searches: the same method, starts and bounds in the peer, one
network at a time, differentiated by autograd; its `newton` is over all parameters, since the
elimination of the second layer is part of what is measured. Seconds of searches are per search:
`newton` to |grad L|^2 < 1e-5, `descent` for 500 steps. Errors: the largest difference of Hessian
entries, relative to the largest; the median of |grad L|^2 at the ends of the same searches,
evaluated by torch for both.
"""

import sys
from functools import partial
from math import nan
from statistics import median

import numpy as np
import torch

from common import Comparison, alternate, record, table
from hessian_rmt.geometry.critical_points import descend_to_random_loss, find_critical_points
from hessian_rmt.geometry.memorisation import memorisation_runs

WIDTH, EXAMPLES, NETWORKS, SEARCHES, PEER_SEARCHES = 16, 64, 32, 64, 3
REPEATS, BOUND = 3, 1e-5
DESCENT_STEPS = 500
GOALS = {"Hessian": 25.0, "newton": 20.0, "descent": 20.0}
PEERS = {
    "Hessian": "vmap(hessian)",
    "newton": "the same by autograd, one at a time",
    "descent": "the same by autograd, one at a time",
}
COLUMNS = ("what", "ours_seconds", "peer_seconds", "ratio", "our_error", "peer_error", "of")


def loss(theta, x, y):
    first, second = (
        theta[: WIDTH * WIDTH].view(WIDTH, WIDTH),
        theta[WIDTH * WIDTH :].view(WIDTH, WIDTH),
    )
    return ((second @ torch.tanh(first @ x) - y) ** 2).sum() / (2 * EXAMPLES)


def arguments(networks, theta):
    return [torch.from_numpy(a) for a in (theta, networks.inputs, networks.targets)]


def hessians():
    made = memorisation_runs(WIDTH, EXAMPLES, range(NETWORKS), seed=1)
    networks, theta = made.networks, made.theta
    peer = torch.func.vmap(torch.func.hessian(loss))
    given = arguments(networks, theta)
    ours, theirs = alternate([lambda: networks.hessian(theta), lambda: peer(*given)], REPEATS)
    exact = peer(*given).numpy()
    difference = float(np.abs(networks.hessian(theta) - exact).max() / np.abs(exact).max())
    return (
        "Hessian",
        median(ours) / NETWORKS,
        median(theirs) / NETWORKS,
        median(theirs) / median(ours),
        difference,
        nan,
        "largest difference of the two, relative to the largest entry",
    )


def newton_by_autograd(theta, x, y, max_steps=400):
    """Levenberg-Marquardt on the gradient of all parameters, damping as in the library."""
    gradient_of, hessian_of = torch.func.grad(loss), torch.func.hessian(loss)
    damping, gradient = 1.0, gradient_of(theta, x, y)
    objective = gradient @ gradient
    for _ in range(max_steps):
        if objective < BOUND:
            break
        hessian = hessian_of(theta, x, y)
        square, slope = hessian @ hessian, hessian @ gradient
        for _ in range(12):
            shifted = square + damping * objective.sqrt() * torch.eye(len(theta), dtype=theta.dtype)
            step = -torch.cholesky_solve(slope[:, None], torch.linalg.cholesky(shifted))[:, 0]
            trial = gradient_of(theta + step, x, y)
            linear = gradient + hessian @ step
            reached = trial @ trial
            gain = (objective - reached) / (objective - linear @ linear)
            damping *= 2.0 if gain < 0.25 else 1 / 3 if gain > 0.75 else 1.0
            if gain > 1e-4:
                theta, gradient, objective = theta + step, trial, reached
                break
    return theta


def descent_by_autograd(theta, x, y, steps):
    """Barzilai-Borwein descent on |grad L|^2 by double backward."""

    def value_and_slope(point):
        point = point.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(point, x, y), point, create_graph=True)
        value = gradient @ gradient
        return value.detach(), torch.autograd.grad(value, point)[0]

    value, slope = value_and_slope(theta)
    length, past = 1e-2, [value] * 10
    for step in range(steps):
        move = -length * slope
        new_value, new_slope = value_and_slope(theta + move)
        if new_value <= max(past) - 1e-4 * length * (slope @ slope):
            change = new_slope - slope
            curvature = move @ change
            by = (move @ move) / curvature if step % 2 == 0 else curvature / (change @ change)
            length = float(min(max(by, 1e-4), 1e4)) if curvature > 0 else 2 * length
            theta, slope, value = theta + move, new_slope, new_value
        else:
            length *= 0.3
        past[step % 10] = value
    return theta


def squared_gradients(networks, theta):
    gradient = torch.func.vmap(torch.func.grad(loss))(*arguments(networks, theta))
    return (gradient**2).sum(1).numpy()


def searches():
    made = memorisation_runs(WIDTH, EXAMPLES, range(SEARCHES), seed=2)
    start = descend_to_random_loss(
        made.networks, made.theta, made.uniform, learning_rate=0.1, max_steps=3000
    )
    few = made.networks.take(slice(PEER_SEARCHES))
    rows = []
    for method in ("newton", "descent"):
        steps = {"newton": 400, "descent": DESCENT_STEPS}[method]
        ours = partial(
            find_critical_points,
            made.networks,
            start.theta,
            method=method,
            tolerance=BOUND,
            accept=BOUND,
            max_steps=steps,
        )
        peer = (
            newton_by_autograd if method == "newton" else partial(descent_by_autograd, steps=steps)
        )

        def theirs(peer=peer):
            return torch.stack(
                [
                    peer(*one)
                    for one in zip(*arguments(few, start.theta[:PEER_SEARCHES]), strict=True)
                ]
            )

        found, others = ours(), theirs().numpy()
        a, b = alternate([ours, theirs], 1)
        error, peer_error = (
            float(np.median(squared_gradients(n, t)))
            for n, t in ((few, found.theta[:PEER_SEARCHES]), (few, others))
        )
        seconds = a[0] / SEARCHES, b[0] / PEER_SEARCHES
        rows.append(
            (method, *seconds, seconds[1] / seconds[0], error, peer_error, "squared gradient")
        )
    return rows


def comparison(row: tuple) -> Comparison:
    values = dict(zip(COLUMNS, row, strict=True))
    return Comparison(
        f"{values['what']} of small networks",
        f"n = {WIDTH}, m = {EXAMPLES}",
        "times faster",
        values["ratio"],
        at_least=GOALS[values["what"]],
        peer=PEERS[values["what"]],
        our_seconds=values["ours_seconds"],
        peer_seconds=values["peer_seconds"],
        accuracy=values["of"],
        our_accuracy=values["our_error"],
        peer_accuracy=values["peer_error"],
    )


def main(path: str) -> None:
    torch.set_num_threads(1)
    rows = [hessians(), *searches()]
    table(rows, COLUMNS, path)
    record(map(comparison, rows), path)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "results/benchmarks/critical_points.csv")
