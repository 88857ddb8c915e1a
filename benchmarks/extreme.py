"""Certified outermost Hessian eigenvalues per core-second: ours, plain Lanczos, scipy's eigsh.

784-100-100-10, trained for one epoch on MNIST, float64. All three get the same core operator, that
is the same products in the same coordinates. *Plain* is Lanczos with every vector orthogonalised
against all others; it counts an eigenvalue by our rule (residual below 1 % of the local mean
spacing), but looks for none that it missed. eigsh (ARPACK, thick restarts of up to 2 k + 1
vectors) is asked for as many pairs as ours certified, half at either end, with a tolerance of that
rule at the block's inner end. So ours alone says that its blocks are complete, which costs it an
eighth more products. Times are core-seconds of this process: keep to one thread.

    OMP_NUM_THREADS=1 python benchmarks/extreme.py [table.csv] [--data data/mnist] [--full]

With --full a batch of 2,048 too (minutes). Below the table: the same against dense eigenvalues.
"""

import argparse
from collections.abc import Callable, Iterator
from time import process_time
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch.nn import functional

from common import Comparison, record, table
from hessian_rmt.curvature import HessianOperator, exact_spectrum
from hessian_rmt.curvature.certified_run import SHARE, certified_run, local_mean_spacing
from hessian_rmt.curvature.extreme import ExtremeEigenvalues, extreme_eigenvalues
from hessian_rmt.data.loading import load_dataset
from hessian_rmt.networks import build_network

# batch size, products, heavy
ROWS = ((128, 450, False), (128, 900, False), (2048, 300, True), (2048, 900, True))
COLUMNS = (
    "batch_size", "dimension", "method", "products", "core_seconds", "certified", "complete",
    "per_core_second", "times_ours", "largest_difference_in_spacings",
)  # fmt: skip


def trained_network(inputs, targets, hidden):
    settings = {"name": "mlp", "arguments": {"hidden": hidden}}
    network = build_network(settings, inputs.shape[1:], 10, seed=0)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.03, momentum=0.9)
    for x, y in zip(inputs.split(128), targets.split(128), strict=True):
        optimiser.zero_grad()
        functional.cross_entropy(network(x), y).backward()
        optimiser.step()
    return network.double()


def plain(core: Any, products: int) -> tuple[np.ndarray, np.ndarray]:
    """Ritz values and residuals of Lanczos with full re-orthogonalisation."""
    V = torch.empty((products, core.shape[0]), dtype=torch.float64)
    start = torch.from_numpy(np.random.default_rng(0).standard_normal(core.shape[0]))
    V[0] = start / start.norm()
    alpha, beta = np.zeros(products), np.zeros(products)
    for j in range(products):
        w = core.matvec(V[j])
        h = V[: j + 1] @ w
        w = torch.addmv(w, V[: j + 1].T, h, alpha=-1)
        w = torch.addmv(w, V[: j + 1].T, V[: j + 1] @ w, alpha=-1)
        alpha[j], beta[j] = h[j], w.norm()
        if j + 1 < products:
            V[j + 1] = w / beta[j]
    T = np.diag(alpha) + np.diag(beta[:-1], 1) + np.diag(beta[:-1], -1)
    theta, s = np.linalg.eigh(T)
    return theta, beta[-1] * np.abs(s[-1])


def peer(core: Any, found: ExtremeEigenvalues) -> tuple[np.ndarray, int]:
    """As many eigenvalues as ours, and the products that eigsh took for them."""
    count = 0

    def matvec(v: np.ndarray) -> np.ndarray:
        nonlocal count
        count += 1
        return core.matvec(torch.from_numpy(v.ravel())).numpy()

    # the residual that is allowed at the inner ends; ARPACK's is relative to the eigenvalue
    inner = [found.bottom - 1, len(found.values) - found.top]
    allowed = SHARE * local_mean_spacing(found.values)[inner] / np.abs(found.values[inner])
    values = eigsh(
        LinearOperator(core.shape, matvec=matvec, dtype=np.float64),
        k=found.bottom + found.top,
        which="BE",
        tol=float(allowed.min()),
        v0=np.random.default_rng(0).standard_normal(core.shape[0]),
        return_eigenvectors=False,
    )
    return np.sort(values), count


def core_seconds(function: Callable[[], Any]) -> tuple[float, Any]:
    start = process_time()
    result = function()
    return process_time() - start, result


def in_spacings(found: ExtremeEigenvalues, others: np.ndarray) -> float:
    """The largest distance of a certified value from the other's, in local mean spacings.

    Of values that `others` has fewer of at an end, its own number is compared.
    """
    spacing, half = local_mean_spacing(found.values), len(others) // 2
    low, high = min(half, len(found.lower)), min(half, len(found.upper))
    at_bottom = np.abs(found.lower[:low] - others[:low]) / spacing[:low]
    at_top = np.abs(found.upper[-high:] - others[-high:]) / spacing[-high:]
    return float(max(at_bottom.max(), at_top.max()))


def compare(network, x, y, products: int) -> list[list[Any]]:
    core = HessianOperator(network, functional.cross_entropy, x, y).core
    core.matvec(torch.zeros(core.shape[0], dtype=torch.float64))  # the first one is slow
    seconds, found = core_seconds(lambda: extreme_eigenvalues(core, products))
    plain_seconds, (theta, residuals) = core_seconds(lambda: plain(core, products))
    peer_seconds, (values, peer_products) = core_seconds(lambda: peer(core, found))
    ours = len(found.lower) + len(found.upper)
    by_rule = sum(certified_run(residuals / local_mean_spacing(theta)))
    rate = ours / seconds
    rows = [
        ("ours", found.matvecs, seconds, ours, "yes", 0.0),
        ("plain", products, plain_seconds, by_rule, "not checked", in_spacings(found, theta)),
        ("eigsh", peer_products, peer_seconds, len(values), "not checked",
         in_spacings(found, values)),
    ]  # fmt: skip
    return [
        [len(x), core.shape[0], *row[:5], row[3] / row[2], rate / (row[3] / row[2]), row[5]]
        for row in rows
    ]


def comparisons(rows: list[list[Any]]) -> Iterator[Comparison]:
    """Eigenvalues per core-second. The peers look for none that they missed; ours says it does."""
    own: dict[str, Any] = {}
    for row in rows:
        values = dict(zip(COLUMNS, row, strict=True))
        if values["method"] == "ours":
            own = values
            continue
        yield Comparison(
            "certified outermost eigenvalues",
            f"batch {values['batch_size']}, {own['certified']} of {values['dimension']:,}",
            "times as many per core-second",
            values["times_ours"],
            peer={"plain": "Lanczos, not checked", "eigsh": "eigsh, not checked"}[values["method"]],
            our_seconds=own["core_seconds"] / own["certified"],
            peer_seconds=values["core_seconds"] / values["certified"],
            accuracy="largest difference of the two, mean spacings",
            our_accuracy=values["largest_difference_in_spacings"],
        )


def against_dense(x, y) -> None:
    network = trained_network(x[:6400], y[:6400], [20, 20])
    x, y = x[:128].double(), y[:128]
    exact = exact_spectrum(network, functional.cross_entropy, x, y).eigenvalues
    found = extreme_eigenvalues(HessianOperator(network, functional.cross_entropy, x, y), 400)
    print(
        f"dense, {len(exact):,} parameters: {len(found.lower)} + {len(found.upper)} certified, "
        f"largest distance from LAPACK's {in_spacings(found, exact):.1e} mean spacings"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("csv", nargs="?", help="where to write the table")
    parser.add_argument("--data", default="data/mnist", help="folder of MNIST's files")
    parser.add_argument("--full", action="store_true", help="the heavy rows too")
    arguments = parser.parse_args()
    data = load_dataset({"name": "mnist"}, arguments.data)
    inputs, targets = torch.from_numpy(data.train_inputs), torch.from_numpy(data.train_targets)
    network = trained_network(inputs, targets, [100, 100])
    rows = []
    for batch_size, products, heavy in ROWS:
        if arguments.full or not heavy:
            batch = torch.from_numpy(
                np.random.default_rng(0).integers(len(inputs), size=batch_size)
            )
            rows += compare(network, inputs[batch].double(), targets[batch], products)
    table(rows, COLUMNS, arguments.csv)
    if arguments.csv:
        record(comparisons(rows), arguments.csv)
    small = load_dataset({"name": "mnist", "image_size": 14}, arguments.data)
    against_dense(torch.from_numpy(small.train_inputs), torch.from_numpy(small.train_targets))


if __name__ == "__main__":
    main()
