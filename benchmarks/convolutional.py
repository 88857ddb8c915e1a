"""Top five Hessian eigenvalues of convolutional networks: ours against curvlinops with eigsh.

A small VGG and a small WRN, trained for one epoch on Fashion-MNIST at 8x8, float32, batches of 256,
relative residual 1e-4, in turn and from one process, as in benchmarks/outliers.py: ours as the peer
does it, and certified, all in the layout that the workflow gives such networks (`networks.layout`).
Beside it, a product in gradients, kept and streamed, and in torch's usual memory format; how far
kept and streamed products lie apart; and the products that a start from another batch's
eigenvectors saves at the same residual. Needs curvlinops-for-pytorch.

    python benchmarks/convolutional.py [--threads 2] [--csv results/benchmarks/convolutional.csv]
"""

import argparse
import copy
import statistics
from math import nan
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from common import Comparison, alternate, median_ratio, record, table
from hessian_rmt.curvature import HessianOperator, top_eigenpairs
from hessian_rmt.data.loading import load_dataset
from hessian_rmt.networks import build_network
from hessian_rmt.networks.batch_norm import set_batch_norm
from hessian_rmt.networks.layout import fastest_layout
from outliers import peer

K, TOLERANCE, BATCH, SIZE = 5, 1e-4, 256, 8
NETWORKS = {
    "vgg": {"convolutions": [1, 1, 1], "width": 16, "dropout": 0.0},
    "wide_resnet": {"depth": 10, "widening": 1, "width": 8},
}


def trained_network(name, data):
    settings = {"name": name, "arguments": NETWORKS[name]}
    network = build_network(settings, data.input_shape, 10, seed=0)
    inputs, targets = torch.from_numpy(data.train_inputs), torch.from_numpy(data.train_targets)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    for x, y in zip(inputs.split(64), targets.split(64), strict=True):
        optimiser.zero_grad()
        cross_entropy(network(x), y).backward()
        optimiser.step()
    network.eval()
    set_batch_norm(network, "evaluation", data.train_inputs)
    return fastest_layout(network)


def ours(network, x, y, *, certified=False, start=None):
    operator = HessianOperator(network, cross_entropy, x, y)
    return top_eigenpairs(
        operator,
        K,
        tol=TOLERANCE,
        start=start,
        vectors=True,
        check_multiplicity=certified,
        certify=certified,
    )


def solutions(name, network, batches, repeats):
    """Seconds, ratios and products of the two solvers on the same batches."""
    ways = [
        lambda: [ours(network, x, y) for x, y in batches],
        lambda: [peer(network, x, y) for x, y in batches],
        lambda: [ours(network, x, y, certified=True) for x, y in batches],
    ]
    seconds = alternate(ways, repeats)
    plain, other, certified = (statistics.median(s) for s in seconds)
    found, theirs = [ours(network, x, y) for x, y in batches], [peer(network, *b) for b in batches]
    sure = ours(network, *batches[0], certified=True)
    exact = HessianOperator(network.double(), cross_entropy, batches[0][0].double(), batches[0][1])
    residuals = []
    for values, vectors in (
        (found[0].values, found[0].vectors),
        theirs[0],
        (sure.values, sure.vectors),
    ):
        vectors = vectors.astype(np.float64) / np.linalg.norm(vectors, axis=0)
        r = np.linalg.norm(exact @ vectors - vectors * values, axis=0) / np.abs(values)
        residuals.append(float(r.max()))
    network.float()
    yield name, "ours_seconds", plain / len(batches)
    yield name, "curvlinops_eigsh_seconds", other / len(batches)
    yield name, "ours_certified_seconds", certified / len(batches)
    yield name, "ratio", median_ratio(seconds[1], seconds[0])
    yield name, "ratio_certified", median_ratio(seconds[1], seconds[2])
    yield name, "ours_certified_relative_residual", residuals[2]
    yield name, "ours_products", float(np.mean([pairs.matvecs for pairs in found]))
    yield name, "ours_relative_residual", residuals[0]
    yield name, "curvlinops_relative_residual", residuals[1]


def products(name, network, x, y, repeats):
    """A product in gradients: kept, streamed, and in torch's usual memory format."""
    v = torch.randn(sum(p.numel() for p in network.parameters()), dtype=torch.float64)
    usual = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    formats = {"": (network, x), "_contiguous": (usual, x)}
    ways = {}
    for suffix, (net, inputs) in formats.items():
        for graph in ("keep", "stream"):
            H = HessianOperator(net, cross_entropy, inputs, y, graph=graph)
            ways[f"{graph}{suffix}"] = lambda H=H: H.matvec(v)

        def gradient(net=net, inputs=inputs):
            torch.autograd.grad(cross_entropy(net(inputs), y), list(net.parameters()))

        ways[f"gradient{suffix}"] = gradient
    seconds = dict(zip(ways, alternate(list(ways.values()), repeats), strict=True))
    yield name, "gradient_seconds", statistics.median(seconds["gradient"])
    for way in [way for way in ways if way != "gradient"]:
        ratios = (a / b for a, b in zip(seconds[way], seconds["gradient"], strict=True))
        yield name, f"{way}_gradients", statistics.median(ratios)
    for dtype in (torch.float32, torch.float64):
        net, inputs = copy.deepcopy(network).to(dtype), x.to(dtype)
        kept = HessianOperator(net, cross_entropy, inputs, y, graph="keep").matvec(v)
        streamed = HessianOperator(
            net, cross_entropy, inputs, y, graph="stream", micro_batch=100
        ).matvec(v)
        difference = float((kept - streamed).norm() / kept.norm())
        yield name, f"streamed_relative_difference_{str(dtype)[-7:]}", difference


def warm_starts(name, network, batches):
    """Products from a random vector, from another batch's vectors, and from their sum."""
    for certified in (False, True):
        cold, block, combined = [], [], []
        previous = ours(network, *batches[0], certified=certified)
        for x, y in batches[1:]:
            cold.append(ours(network, x, y, certified=certified))
            for found, start in (
                (block, previous.vectors),
                (combined, previous.vectors.sum(axis=1)),
            ):
                found.append(ours(network, x, y, certified=certified, start=start))
            previous = cold[-1]
        suffix = "_certified" if certified else ""
        for way, found in (("cold", cold), ("block", block), ("sum", combined)):
            mean = float(np.mean([pairs.matvecs for pairs in found]))
            yield name, f"products_from_{way}{suffix}", mean
            worst = max(float((p.residuals / p.values).max()) for p in found)
            yield name, f"residual_from_{way}{suffix}", worst


def comparisons(values):
    """Of all networks; values: by network and figure."""
    for name in NETWORKS:
        peer_seconds = values[name, "curvlinops_eigsh_seconds"]
        for own, ratio, goal in (
            ("ours", "ratio", 2.5),
            ("ours_certified", "ratio_certified", nan),
        ):
            yield Comparison(
                f"top 5 to 1e-4, {name} ({own.replace('_', ', ')})",
                f"batch {BATCH}",
                "times faster",
                values[name, ratio],
                at_least=goal,
                peer="curvlinops + eigsh",
                our_seconds=values[name, f"{own}_seconds"],
                peer_seconds=peer_seconds,
                accuracy="relative residual",
                our_accuracy=values[name, f"{own}_relative_residual"],
                peer_accuracy=values[name, "curvlinops_relative_residual"],
            )
        size = f"batch {BATCH}"
        product = values[name, "stream_gradients"]
        yield Comparison(f"streamed product, {name}", size, "gradients", product, at_most=2.7)
        for precision, most in (("float32", 1e-5), ("float64", 1e-12)):
            difference = values[name, f"streamed_relative_difference_{precision}"]
            yield Comparison(
                f"streamed against kept product, {name}, {precision}",
                size,
                "relative difference",
                difference,
                at_most=most,
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--csv", type=Path, default=Path("results/benchmarks/convolutional.csv"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = {"name": "fashion_mnist", "train_examples": 6000, "image_size": SIZE}
    data = load_dataset(settings, "data/fashion_mnist")
    rng = np.random.default_rng(0)
    drawn = [rng.integers(len(data.train_inputs), size=BATCH) for _ in range(arguments.batches)]
    batches = [
        (torch.from_numpy(data.train_inputs[i]), torch.from_numpy(data.train_targets[i]))
        for i in drawn
    ]
    rows = []
    for name in NETWORKS:
        network = trained_network(name, data)
        rows += products(name, network, *batches[0], 3 * arguments.repeats)
        rows += warm_starts(name, network, batches)
        rows += solutions(name, network, batches[:2], arguments.repeats)
    table(rows, ["network", "figure", "value"], arguments.csv)
    record(comparisons({(name, figure): value for name, figure, value in rows}), arguments.csv)


if __name__ == "__main__":
    main()
