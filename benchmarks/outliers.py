"""Top five Hessian eigenvalues of a perceptron: ours against curvlinops with scipy's eigsh.

784-100-100-10, trained for one epoch on MNIST, float32, batches of 64, 1,024 and 8,192, relative
residual 1e-4, both from the same process and in turn, construction of the operators included: ours
as the peer does it (float32 products, no check for multiple eigenvalues), and certified, as is our
default (values and residuals from float64 products, and that check). Beside it: the cost of a
product in gradients and in the machine's matrix-multiplication speed, the residuals that both
reach, and the agreement with dense float64 eigenvalues. Needs curvlinops-for-pytorch (see
benchmarks/requirements.txt).

    python benchmarks/outliers.py [--threads 2] [--csv results/benchmarks/outliers.csv]
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from common import alternate, table
from hessian_rmt.curvature import HessianOperator, top_eigenpairs
from hessian_rmt.data.loading import load_dataset
from hessian_rmt.networks import build_network

K, TOLERANCE, SEEDS = 5, 1e-4, 3


def trained_network(inputs, targets, hidden):
    settings = {"name": "mlp", "arguments": {"hidden": hidden}}
    network = build_network(settings, (1, 28, 28), 10, seed=0)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.03, momentum=0.9)
    for x, y in zip(inputs.split(128), targets.split(128), strict=True):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(x), y).backward()
        optimiser.step()
    return network


def ours(network, x, y, *, certified=True):
    operator = HessianOperator(network, nn.functional.cross_entropy, x, y)
    return top_eigenpairs(
        operator,
        K,
        tol=TOLERANCE,
        vectors=True,
        check_multiplicity=certified,
        certify=certified,
    )


def peer(network, x, y):
    from curvlinops import HessianLinearOperator
    from scipy.sparse.linalg import eigsh

    parameters = list(network.parameters())
    operator = HessianLinearOperator(
        network, nn.CrossEntropyLoss(), parameters, [(x, y)], check_deterministic=False
    ).to_scipy()
    start = np.random.default_rng(0).standard_normal(operator.shape[0]).astype(np.float32)
    values, vectors = eigsh(operator, k=K, which="LA", tol=TOLERANCE, v0=start)
    return values[::-1], vectors[:, ::-1]


def relative_residual(network, x, y, values, vectors):
    """The largest ||H v - lambda v|| / lambda, in float64, of unit vectors."""
    double = build_network(
        {
            "name": "mlp",
            "arguments": {
                "hidden": [m.out_features for m in network if isinstance(m, nn.Linear)][:-1]
            },
        },
        (1, 28, 28),
        10,
        seed=0,
    ).double()
    double.load_state_dict(network.state_dict())
    operator = HessianOperator(double, nn.functional.cross_entropy, x.double(), y)
    vectors = vectors.astype(np.float64)
    vectors = vectors / np.linalg.norm(vectors, axis=0)
    residuals = np.linalg.norm(operator @ vectors - vectors * values, axis=0)
    return float((residuals / np.abs(values)).max())


def median_seconds(function, repeats):
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def gemm_flops():
    """The machine's float32 matrix-multiplication speed, operations per second."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    return 2 * 2048**3 / median_seconds(lambda: a @ b, 7)


def product_flops(network, batch, width):
    """Operations of one product: its matrix multiplications, first layer `width` wide."""
    shapes = [m.weight.shape for m in network if isinstance(m, nn.Linear)]
    first = 2 * batch * shapes[0][0] * width
    return 2 * first + sum(6 * 2 * batch * rows * columns for rows, columns in shapes[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--csv", type=Path, default=Path("results/benchmarks/outliers.csv"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = load_dataset({"name": "mnist"}, "data/mnist")
    inputs, targets = torch.from_numpy(data.train_inputs), torch.from_numpy(data.train_targets)
    network = trained_network(inputs, targets, [100, 100])
    rows = []

    def report(what, batch, **figures):
        rows.extend([what, batch, name, value] for name, value in figures.items())

    peak = gemm_flops()
    for batch in (64, 1024, 8192):
        rng = np.random.default_rng(batch)
        batches = [torch.from_numpy(rng.integers(len(inputs), size=batch)) for _ in range(SEEDS)]
        pairs = [(inputs[i], targets[i]) for i in batches]
        seconds = alternate(
            [
                lambda pairs=pairs: [ours(network, x, y) for x, y in pairs],
                lambda pairs=pairs: [ours(network, x, y, certified=False) for x, y in pairs],
                lambda pairs=pairs: [peer(network, x, y) for x, y in pairs],
            ],
            arguments.repeats,
        )
        certified, plain, other = (statistics.median(s) for s in seconds)
        results = [ours(network, x, y) for x, y in pairs]
        peers = [peer(network, x, y) for x, y in pairs]
        speedup, certified_speedup = (
            statistics.median(slow / fast for fast, slow in zip(own, seconds[2], strict=True))
            for own in (seconds[1], seconds[0])
        )
        report(
            "top 5 to 1e-4",
            batch,
            ours_certified_seconds=certified,
            ours_seconds=plain,
            curvlinops_eigsh_seconds=other,
            ratio_certified=certified_speedup,
            ratio=speedup,
            ours_certified_products=float(np.mean([r.matvecs for r in results])),
            ours_certified_relative_residual=max(
                relative_residual(network, x, y, r.values, r.vectors)
                for (x, y), r in zip(pairs, results, strict=True)
            ),
            curvlinops_relative_residual=max(
                relative_residual(network, x, y, *p) for (x, y), p in zip(pairs, peers, strict=True)
            ),
            largest_relative_difference=float(
                max(np.abs(r.values / p[0] - 1).max() for r, p in zip(results, peers, strict=True))
            ),
        )
        bare = [ours(network, x, y, certified=False) for x, y in pairs]
        report(
            "top 5 to 1e-4",
            batch,
            ours_products=float(np.mean([r.matvecs for r in bare])),
            ours_relative_residual=max(
                relative_residual(network, x, y, r.values, r.vectors)
                for (x, y), r in zip(pairs, bare, strict=True)
            ),
        )
        x, y = pairs[0]
        operator = HessianOperator(network, nn.functional.cross_entropy, x, y)
        core = operator.core
        v = torch.randn(core.shape[0], dtype=torch.float64)

        def gradient(x=x, y=y):
            value = nn.functional.cross_entropy(network(x), y)
            torch.autograd.grad(value, list(network.parameters()))

        product = lambda core=core, v=v: core.matvec(v)  # noqa: E731
        times = alternate([product, gradient], 9 * arguments.repeats)
        product_seconds, gradient_seconds = (statistics.median(t) for t in times)
        width = core.network[0].in_features if operator.isometry else 784
        report(
            "one product",
            batch,
            seconds=product_seconds,
            gradients=product_seconds / gradient_seconds,
            gemm_share=product_flops(network, batch, width) / product_seconds / peak,
        )
    report("matrix multiplication", 0, gflops=peak / 1e9)

    # a network small enough for dense eigenvalues, in float64
    small = trained_network(inputs[:6400], targets[:6400], [10, 20]).double()
    x, y = inputs[:256].double(), targets[:256]
    operator = HessianOperator(small, nn.functional.cross_entropy, x, y)
    dense = operator.core.row_products(torch.eye(operator.core.shape[0], dtype=torch.float64))
    exact = torch.linalg.eigvalsh((dense + dense.T) / 2).numpy()[::-1][:K]
    found = top_eigenpairs(operator, K, tol=1e-9).values
    report("dense float64", 256, largest_relative_error=float(np.abs(found / exact - 1).max()))
    table(rows, ["what", "batch_size", "figure", "value"], arguments.csv)


if __name__ == "__main__":
    main()
