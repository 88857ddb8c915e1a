"""Time and memory of each stage against its size: log-log slopes beside the expected ones.

    OMP_NUM_THREADS=1 python benchmarks/growth.py [results/benchmarks/growth.csv]

Draws growth.pdf and growth.png beside the table. Every point is a process of its own: the fastest
of three runs after a first, and the most resident memory beyond what it had before (from /proc, so
on Linux only). A slope is that of the three largest sizes; it is missed if it exceeds the expected
one by more than 0.2, and memory under 20 MB has none. Sizes of the outlier stage are per product,
since the number of products is the spectrum's doing.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from scipy.stats import linregress
from torch.nn.functional import avg_pool2d, cross_entropy

from common import Comparison, record, table
from hessian_rmt.curvature import (
    HessianOperator,
    exact_spectrum,
    lanczos_quadrature,
    top_eigenpairs,
)
from hessian_rmt.data.loading import load_dataset
from hessian_rmt.figures.style import BLUE, VERMILION, new_figure
from hessian_rmt.geometry.critical_points import find_critical_points
from hessian_rmt.geometry.memorisation import memorisation_runs
from hessian_rmt.networks import build_network
from hessian_rmt.rmt import MarchenkoPastur, Semicircle, free_additive_convolution
from hessian_rmt.rmt.discrete_laws import Empirical
from hessian_rmt.rmt.local_tests import goe_eigenvalues, ratio_agreement

TOLERANCE, SMALLEST_MEMORY, LARGEST = 0.2, 20.0, 3
COLUMNS = ("stage", "against", "size", "seconds", "memory_mb")
Work = Callable[[], float]  # does it, and returns how many units of work that was


@dataclass(frozen=True)
class Stage:
    """What grows with what, the exponents that theory allows, and how to prepare one size."""

    name: str
    against: str
    sizes: tuple[int, ...]
    time: float
    memory: float
    prepare: Callable[[int], Work]


def batch(examples: int) -> Any:
    data = load_dataset({"name": "mnist"}, "data/mnist")
    chosen = np.random.default_rng(0).integers(len(data.train_inputs), size=examples)
    return torch.from_numpy(data.train_inputs[chosen]), torch.from_numpy(data.train_targets[chosen])


def perceptron(hidden: list[int], input_shape: tuple[int, ...] = (1, 28, 28)) -> Any:
    settings = {"name": "mlp", "arguments": {"hidden": hidden}}
    return build_network(settings, input_shape, 10, seed=0)


def products_of_a_solve(network: Any, x: Any, y: Any) -> float:
    return top_eigenpairs(HessianOperator(network, cross_entropy, x, y), 5, tol=1e-4).matvecs


def outliers_by_batch(size: int) -> Work:
    network, (x, y) = perceptron([100, 100]), batch(size)
    return lambda: products_of_a_solve(network, x, y)


def outliers_by_width(width: int) -> Work:
    network, (x, y) = perceptron([width, width]), batch(512)
    return lambda: products_of_a_solve(network, x, y)


def outliers_by_seeds(seeds: int) -> Work:
    network, (x, y) = perceptron([100, 100]), batch(256 * seeds)
    pairs = list(zip(x.split(256), y.split(256), strict=True))

    def work() -> float:
        return sum(products_of_a_solve(network, *pair) for pair in pairs) / len(pairs)

    return work


def density_by_examples(examples: int) -> Work:
    network, (x, y) = perceptron([100, 100]), batch(examples)
    operator = HessianOperator(network, cross_entropy, x, y, micro_batch=250, graph="stream")
    return lambda: bool(lanczos_quadrature(operator, 10)) and 1.0


def exact_by_width(width: int, *, reduce: bool) -> Work:
    network, (x, y) = perceptron([width], (1, 7, 7)), batch(64)
    x = avg_pool2d(x, 4)
    return lambda: bool(exact_spectrum(network, cross_entropy, x, y, reduce=reduce)) and 1.0


def convolution_by_points(points: int) -> Work:
    law = free_additive_convolution(Semicircle(0.5), MarchenkoPastur(0.5))
    x = np.linspace(*np.ravel(law.support)[[0, -1]], points)
    return lambda: bool(law.density(x).size) and 1.0


def convolution_by_atoms(atoms: int) -> Work:
    law = free_additive_convolution(
        Empirical(np.random.default_rng(0).standard_normal(atoms)), Semicircle(0.5)
    )
    x = np.linspace(*np.ravel(law.support)[[0, -1]], 1000)
    return lambda: bool(law.density(x).size) and 1.0


def edges_by_atoms(atoms: int) -> Work:
    """g is sampled on each of the gaps between atoms, as a sum over all atoms."""
    values = np.random.default_rng(0).standard_normal(atoms)
    return lambda: bool(free_additive_convolution(Empirical(values), Semicircle(0.5)).support) + 0.0


def critical_points_by_runs(runs: int) -> Work:
    made = memorisation_runs(8, 20, range(runs), seed=1)

    def work() -> float:
        find_critical_points(
            made.networks, made.theta, method="newton", tolerance=0.0, accept=1.0, max_steps=10
        )
        return 1.0

    return work


def tests_by_matrices(matrices: int) -> Work:
    rng = np.random.default_rng(0)
    spectra = [goe_eigenvalues(200, rng) for _ in range(matrices)]
    return lambda: bool(ratio_agreement(spectra, replicates=9, seed=0)) and 1.0


def parameters(width: int) -> int:
    return 784 * width + width**2 + 12 * width + 10


STAGES = {
    stage.name: stage
    for stage in (
        Stage("outliers, a product", "batch size", (512, 1024, 2048, 4096), 1, 1,
              outliers_by_batch),
        Stage("outliers, a product (width)", "parameters", (50, 100, 200, 400), 1, 1,
              outliers_by_width),
        Stage("outliers, a product of each", "seeds", (2, 4, 8), 1, 0, outliers_by_seeds),
        Stage("density, 10 steps", "examples", (1000, 2000, 4000, 8000), 1, 0,
              density_by_examples),
        Stage("exact spectrum", "width w (P = 60 w + 10)", (10, 20, 40), 3, 2,
              lambda width: exact_by_width(width, reduce=True)),
        Stage("exact spectrum, plain", "width w (P = 60 w + 10)", (10, 20, 40), 3, 2,
              lambda width: exact_by_width(width, reduce=False)),
        Stage("free convolution", "points", (10_000, 100_000, 300_000), 1, 1,
              convolution_by_points),
        Stage("free convolution, atoms", "atoms", (200, 400, 800), 1, 1,
              convolution_by_atoms),
        Stage("free convolution, edges", "atoms", (400, 800, 1600), 2, 1,
              edges_by_atoms),
        Stage("critical points", "runs", (32, 64, 128), 1, 1, critical_points_by_runs),
        Stage("tests of ratios", "matrices", (80, 160, 320), 1, 1, tests_by_matrices),
    )
}  # fmt: skip


def resident_mb(field: str) -> float:
    """VmRSS, or VmHWM, the most since `clear_refs` was last given a 5."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise OSError(f"/proc/self/status has no {field}")


def point(stage: Stage, size: int) -> tuple[float, float]:
    """Seconds per unit of work and MB, in this process."""
    work = stage.prepare(size)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident_mb("VmRSS")
    work()
    seconds = []
    for _ in range(3):
        start = perf_counter()
        units = work()
        seconds.append((perf_counter() - start) / units)
    return min(seconds), max(resident_mb("VmHWM") - before, 0.0)


def measure(stage: Stage) -> list[list[Any]]:
    """The rows of a stage."""
    rows = []
    for size in stage.sizes:
        command = [sys.executable, __file__, "--point", stage.name, str(size)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        shown = parameters(size) if stage.against == "parameters" else size
        rows.append([stage.name, stage.against, shown, *json.loads(done.stdout)])
    return rows


def slope(sizes: np.ndarray, values: np.ndarray) -> float:
    return float(linregress(np.log(sizes[-LARGEST:]), np.log(values[-LARGEST:])).slope)


def comparisons(rows: list[list[Any]]) -> list[Comparison]:
    found = []
    for stage in STAGES.values():
        own = np.array([row[2:] for row in rows if row[0] == stage.name], float)
        sizes, seconds, memory = own.T
        largest = f"up to {sizes[-1]:,.0f} {stage.against.split(',')[0]}"
        for what, values, expected in (
            ("time", seconds, stage.time),
            ("memory", memory, stage.memory),
        ):
            if what == "time" or memory[-1] >= SMALLEST_MEMORY:
                exponent = slope(sizes, np.maximum(values, 1e-9))
                most = expected + TOLERANCE
                name = f"growth of {stage.name}"
                found.append(
                    Comparison(name, largest, f"exponent of {what}", exponent, at_most=most)
                )
    return found


def draw(rows: list[list[Any]], folder: Path) -> None:
    figure, axes = new_figure(3, 4, panel=(2.2, 2.0))
    for ax in axes.flat[len(STAGES) :]:
        ax.remove()
    for ax, stage in zip(axes.flat, STAGES.values(), strict=False):
        own = np.array([row[2:] for row in rows if row[0] == stage.name], float)
        sizes, seconds, memory = own.T
        for values, expected, colour, what in (
            (seconds, stage.time, BLUE, "s"),
            (np.maximum(memory, 0.1), stage.memory, VERMILION, "MB"),
        ):
            exponent = slope(sizes, values)
            ax.loglog(sizes, values, "o-", color=colour, markersize=3,
                      label=f"{what}: {exponent:.2f} ({expected:g})")  # fmt: skip
            ax.loglog(sizes, values[-1] * (sizes / sizes[-1]) ** expected, ":", color=colour)
        ax.set(title=stage.name, xlabel=stage.against, ylabel="s, MB")
        ax.set_xticks(sizes, [f"{size:,.0f}" for size in sizes], fontsize=6)
        ax.xaxis.minorticks_off()
        ax.legend()
    figure.suptitle(
        "time (s) and memory (MB) of one process, with the exponents of the three largest sizes; "
        "dotted and in brackets: what theory allows",
        fontsize=8,
    )
    for suffix in ("pdf", "png"):
        figure.savefig(folder / f"growth.{suffix}")


def main(path: str) -> None:
    rows = []
    for stage in STAGES.values():
        rows += measure(stage)
        print(stage.name, file=sys.stderr)
    table(rows, COLUMNS, path)
    record(comparisons(rows), path)
    draw(rows, Path(path).parent)


if __name__ == "__main__":
    if "--point" in sys.argv:
        name, size = sys.argv[2:]
        print(json.dumps(point(STAGES[name], int(size))))
    else:
        main(sys.argv[1] if len(sys.argv) > 1 else "results/benchmarks/growth.csv")
