"""exact_spectrum against the Hessian by batched double autograd (P columns) and LAPACK on P x P.

    OMP_NUM_THREADS=2 python benchmarks/exact.py data/mnist [table.csv] [--full]

One batch of 64 MNIST images per row; with --full also 784-10-100-100-10, and its full-data Hessian
over 60,000 images, where the time to beat is LAPACK's on the matrix itself.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hessian_rmt.curvature import exact_spectrum
from hessian_rmt.data.loading import load_dataset
from hessian_rmt.networks.mlp import mlp

sys.path.insert(0, str(Path(__file__).parent))
from common import Comparison, alternate, record, table

# name: hidden widths, how many times faster than the peer is asked for, repeats, heavy
ROWS: dict[str, tuple[tuple[int, ...], float, int, bool]] = {
    "softmax regression": ((), 500, 3, False),
    "784-10-100-10": ((10, 100), 50, 3, False),
    "784-10-100-100-10": ((10, 100, 100), 12, 1, True),
}
BATCH = 64
COLUMNS = (
    "network", "P", "dimension", "signal", "round_off", "floor", "build_s", "solve_s", "total_s",
    "peer_columns_s", "peer_eigvalsh_s", "times_faster", "asked", "largest_relative_difference",
)  # fmt: skip


@dataclass
class Peer:
    """The Hessian column by column, and all its eigenvalues; keeps its last result."""

    network: nn.Module
    inputs: Tensor
    targets: Tensor
    columns: int = 256
    build_seconds: float = 0.0
    solve_seconds: float = 0.0
    eigenvalues: np.ndarray | None = None

    def __call__(self) -> None:
        start = perf_counter()
        parameters = list(self.network.parameters())
        sizes = [p.numel() for p in parameters]
        loss = F.cross_entropy(self.network(self.inputs), self.targets)
        gradient = torch.autograd.grad(loss, parameters, create_graph=True)
        flat = torch.cat([g.flatten() for g in gradient])
        H = torch.empty(sum(sizes), sum(sizes), dtype=torch.float64)
        for first in range(0, len(H), self.columns):
            rows = H[first : first + self.columns]
            unit_vectors = torch.zeros_like(rows)
            unit_vectors[:, first : first + self.columns].fill_diagonal_(1.0)
            products = torch.autograd.grad(
                flat, parameters, unit_vectors, retain_graph=True, is_grads_batched=True
            )
            torch.cat([p.flatten(1) for p in products], dim=1, out=rows)
        built = perf_counter()
        self.eigenvalues = torch.linalg.eigvalsh(H).numpy()
        self.build_seconds = built - start
        self.solve_seconds = perf_counter() - built


def compare(
    name: str, hidden: tuple[int, ...], asked: float, repeats: int, x: Tensor, y: Tensor
) -> list[Any]:
    """One row: the medians of both, and how far their eigenvalues differ."""
    torch.manual_seed(1)
    network = mlp(x.shape[1:], 10, hidden=hidden)
    peer = Peer(mlp(x.shape[1:], 10, hidden=hidden).double(), x.double(), y)
    peer.network.load_state_dict(network.state_dict())
    spectra = []

    def ours() -> None:
        spectra.append(exact_spectrum(network, F.cross_entropy, x, y))

    functions: list[Callable[[], object]] = [ours, peer]
    ours()  # the first call loads LAPACK
    own_seconds, peer_seconds = (float(np.median(s)) for s in alternate(functions, repeats))
    spectrum = spectra[-1]
    assert peer.eigenvalues is not None
    difference = np.abs(spectrum.eigenvalues - peer.eigenvalues).max()
    kinds = [int((spectrum.kind == kind).sum()) for kind in ("signal", "round_off")]
    return [
        name, len(peer.eigenvalues), spectrum.dimension, *kinds, spectrum.floor,
        spectrum.build_seconds, spectrum.solve_seconds, own_seconds,
        peer.build_seconds, peer.solve_seconds, peer_seconds / own_seconds, asked,
        float(difference / np.abs(peer.eigenvalues).max()),
    ]  # fmt: skip


def full_data(x: Tensor, y: Tensor) -> list[Any]:
    """Assembly against LAPACK's eigenvalues of what was assembled, 784-10-100-100-10."""
    torch.manual_seed(1)
    network = mlp(x.shape[1:], 10, hidden=(10, 100, 100))
    spectrum = exact_spectrum(network, F.cross_entropy, x, y)
    kinds = [int((spectrum.kind == kind).sum()) for kind in ("signal", "round_off")]
    build, solve = spectrum.build_seconds, spectrum.solve_seconds
    return [
        f"784-10-100-100-10, {len(x):,} images", len(spectrum.eigenvalues), spectrum.dimension,
        *kinds, spectrum.floor, build, solve, build + solve, "", solve, solve / build, 1.0, "",
    ]  # fmt: skip


def comparison(row: list[Any]) -> Comparison:
    values = dict(zip(COLUMNS, row, strict=True))
    whole = values["peer_columns_s"] == ""  # full_data's row: assembly against LAPACK
    return Comparison(
        "assembly of the full-data Hessian" if whole else "all eigenvalues of one batch of 64",
        f"{values['network']}, P = {values['P']:,}",
        "times faster",
        values["times_faster"],
        at_least=values["asked"],
        peer="LAPACK on that matrix" if whole else "double autograd + LAPACK",
        our_seconds=values["build_s"] if whole else values["total_s"],
        peer_seconds=values["solve_s"] if whole else values["times_faster"] * values["total_s"],
        accuracy="" if whole else "largest difference, relative to the largest eigenvalue",
        our_accuracy=float("nan") if whole else values["largest_relative_difference"],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", help="folder of MNIST's files")
    parser.add_argument("csv", nargs="?", help="where to write the table")
    parser.add_argument("--full", action="store_true", help="the two heavy rows too")
    arguments = parser.parse_args()
    data = load_dataset({"name": "mnist"}, arguments.data)
    x, y = torch.from_numpy(data.train_inputs), torch.from_numpy(data.train_targets)
    rows = [
        compare(name, hidden, asked, repeats, x[:BATCH], y[:BATCH])
        for name, (hidden, asked, repeats, heavy) in ROWS.items()
        if arguments.full or not heavy
    ]
    if arguments.full:
        rows.append(full_data(x, y))
    table(rows, COLUMNS, arguments.csv)
    if arguments.csv:
        record(map(comparison, rows), arguments.csv)


if __name__ == "__main__":
    main()
