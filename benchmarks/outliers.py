"""Top five Hessian eigenvalues of a perceptron: ours against three other libraries.

784-100-100-10, trained for one epoch on MNIST, float32, batches of 64, 1,024 and 8,192, relative
residual 1e-4, all from the same process and in turn, construction of the operators included: ours
as the peer does it (float32 products, no check for multiple eigenvalues), and certified, as is our
default (values and residuals from float64 products, and that check). Beside it: the cost of a
product in gradients and in the machine's matrix-multiplication speed, the residuals that all
reach, and the agreement with dense float64 eigenvalues.

The peers (benchmarks/requirements.txt): curvlinops with scipy's eigsh; hessian-eigenthings, Lanczos
that does not stop by itself, given for each batch the steps that it needs for our tolerance, to
five, found before the clock starts; PyHessian, power iterations for the largest magnitudes, with
its own stopping rule and defaults.

    python benchmarks/outliers.py [--threads 2] [--csv results/benchmarks/outliers.csv]
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from common import Comparison, alternate, median_ratio, record, table
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


def eigenthings(network, x, y, steps):
    from hessian_eigenthings.algorithms.lanczos import lanczos
    from hessian_eigenthings.operators.hessian import HessianOperator as Operator

    operator = Operator(
        network,
        [(x, y)],
        lambda model, batch: nn.functional.cross_entropy(model(batch[0]), batch[1]),
    )
    found = lanczos(
        operator, k=K, max_iter=steps, tol=TOLERANCE, reorthogonalize=True, which="LA", seed=0
    )
    return found.eigenvalues.numpy(), found.eigenvectors.numpy().T, bool(found.converged.all())


def steps_needed(network, x, y):
    """For the tolerance, or 500 where that is not enough: its residual then tells."""
    return next((s for s in range(10, 500, 5) if eigenthings(network, x, y, s)[2]), 500)


def pyhessian(network, x, y):
    from pyhessian import hessian

    values, vectors = hessian(network, nn.CrossEntropyLoss(), data=(x, y), cuda=False).eigenvalues(
        top_n=K
    )
    flat = [torch.cat([part.flatten() for part in vector]).numpy() for vector in vectors]
    return np.array(values), np.stack(flat, axis=1)


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
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--csv", type=Path, default=Path("results/benchmarks/outliers.csv"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = load_dataset({"name": "mnist"}, "data/mnist")
    inputs, targets = torch.from_numpy(data.train_inputs), torch.from_numpy(data.train_targets)
    network = trained_network(inputs, targets, [100, 100])
    rows, comparisons = [], []

    def report(what, batch, **figures):
        rows.extend([what, batch, name, value] for name, value in figures.items())

    peak = gemm_flops()
    for batch, reach in ((64, 15.0), (1024, 7.0), (8192, 4.0)):
        rng = np.random.default_rng(batch)
        batches = [torch.from_numpy(rng.integers(len(inputs), size=batch)) for _ in range(SEEDS)]
        pairs = [(inputs[i], targets[i]) for i in batches]
        steps = {id(x): steps_needed(network, x, y) for x, y in pairs}
        ways = {
            "ours, certified": lambda x, y: ours(network, x, y),
            "ours": lambda x, y: ours(network, x, y, certified=False),
            "curvlinops + eigsh": lambda x, y: peer(network, x, y),
            "hessian-eigenthings": lambda x, y, steps=steps: eigenthings(
                network, x, y, steps[id(x)]
            ),
            "PyHessian": lambda x, y: pyhessian(network, x, y),
        }
        timed = alternate(
            [lambda way=way, pairs=pairs: [way(*pair) for pair in pairs] for way in ways.values()],
            arguments.repeats,
        )
        seconds = dict(zip(ways, timed, strict=True))
        residual, certain = {}, [ours(network, x, y).values for x, y in pairs]
        for name, way in ways.items():
            found = [way(*pair) for pair in pairs]
            if name.startswith("ours"):
                report(f"products, {name}", batch, mean=float(np.mean([r.matvecs for r in found])))
                found = [(r.values, r.vectors) for r in found]
            residual[name] = max(
                relative_residual(network, x, y, *result[:2])
                for (x, y), result in zip(pairs, found, strict=True)
            )
            report(
                f"top 5, {name}",
                batch,
                seconds=statistics.median(seconds[name]),
                relative_residual=residual[name],
                largest_relative_difference=max(  # small residuals do not tell that none is missed
                    float(np.abs(result[0] / values - 1).max())
                    for result, values in zip(found, certain, strict=True)
                ),
            )
        for own in ("ours, certified", "ours"):
            for other in list(ways)[2:]:
                goal = reach if (own, other) == ("ours", "curvlinops + eigsh") else float("nan")
                comparisons.append(
                    Comparison(
                        f"top 5 to 1e-4 ({own})",
                        f"batch {batch}",
                        "times faster",
                        median_ratio(seconds[other], seconds[own]),
                        at_least=goal,
                        peer=other,
                        our_seconds=statistics.median(seconds[own]) / SEEDS,
                        peer_seconds=statistics.median(seconds[other]) / SEEDS,
                        accuracy="relative residual",
                        our_accuracy=residual[own],
                        peer_accuracy=residual[other],
                    )
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
        comparisons.append(
            Comparison(
                "one product",
                f"batch {batch}",
                "gradients",
                product_seconds / gradient_seconds,
                at_most=1.3 if batch == 1024 else float("nan"),
                our_seconds=product_seconds,
            )
        )
    report("matrix multiplication", 0, gflops=peak / 1e9)

    # a network small enough for dense eigenvalues, in float64
    small = trained_network(inputs[:6400], targets[:6400], [10, 20]).double()
    x, y = inputs[:256].double(), targets[:256]
    operator = HessianOperator(small, nn.functional.cross_entropy, x, y)
    dense = operator.core.row_products(torch.eye(operator.core.shape[0], dtype=torch.float64))
    exact = torch.linalg.eigvalsh((dense + dense.T) / 2).numpy()[::-1][:K]
    found = top_eigenpairs(operator, K, tol=1e-9).values
    error = float(np.abs(found / exact - 1).max())
    report("dense float64", 256, largest_relative_error=error)
    comparisons.append(
        Comparison("top 5, dense float64", "batch 256", "relative error", error, at_most=1e-8)
    )
    table(rows, ["what", "batch_size", "figure", "value"], arguments.csv)
    record(comparisons, arguments.csv)


if __name__ == "__main__":
    main()
