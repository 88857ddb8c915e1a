"""Hessian products and exact spectra on a GPU at the papers' sizes; without one it says so.

    python benchmarks/gpu.py [results/benchmarks/gpu.csv] [--tiny]

Products per second, the most memory, and the share of the card's own speed of float32 matrix
multiplication (TF32 off; operations as torch counts them) for VGG16, PreResNet110 and WRN-28-10,
with CIFAR-100's shapes and random images, since neither time nor memory depends on them; all
eigenvalues of one batch's Hessian of 784-10-100-100-10 (20,060 parameters, float64); critical
points per second. --tiny goes through the same with small networks on the CPU: a check of the
script, no measurement.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from common import Comparison, record, table
from hessian_rmt.curvature import HessianOperator, exact_spectrum
from hessian_rmt.networks import build_network

VGG = {"convolutions": [2, 2, 3, 3, 3], "width": 64, "dropout": 0.5}
WRN = {"depth": 28, "widening": 10, "width": 16}
PRERESNET = {"blocks": 12, "width": 16}
# network: name, arguments, batch sizes, image size
CASES: dict[str, tuple[str, dict[str, Any], tuple[int, ...], int]] = {
    "VGG16": ("vgg", VGG, (128, 1024, 8192), 32),
    "PreResNet110": ("preresnet", PRERESNET, (128, 1024), 32),
    "WRN-28-10": ("wide_resnet", WRN, (128, 512, 8192), 32),
}
TINY: dict[str, tuple[str, dict[str, Any], tuple[int, ...], int]] = {
    "VGG6": ("vgg", {"convolutions": [1, 1, 1], "width": 4, "dropout": 0.5}, (8,), 8),
    "PreResNet11": ("preresnet", {"blocks": 1, "width": 2}, (8,), 8),
    "WRN-10-1": ("wide_resnet", {"depth": 10, "widening": 1, "width": 2}, (8,), 8),
}
CLASSES, REPEATS = 100, 5
COLUMNS = ("what", "size", "figure", "value")


def waited(device: torch.device, function: Callable[[], object], repeats: int = REPEATS) -> float:
    """Median seconds of a call, after a first; the device has done all when the clock stops."""
    seconds = []
    for _ in range(repeats + 1):
        start = perf_counter()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(perf_counter() - start)
    return median(seconds[1:])


def multiplication_speed(device: torch.device, n: int) -> float:
    """Float32 operations per second of a large matrix product."""
    a, b = (torch.randn(n, n, device=device) for _ in range(2))
    return 2 * n**3 / waited(device, lambda: a @ b)


def products(case: str, settings: tuple, device: torch.device, peak: float) -> list[list[Any]]:
    name, arguments, sizes, pixels = settings
    shape = (3, pixels, pixels)
    network = build_network({"name": name, "arguments": arguments}, shape, CLASSES, seed=0)
    network = network.eval().to(device)
    rows = []
    for size in sizes:
        x = torch.randn(size, *shape, device=device)
        y = torch.randint(CLASSES, (size,), device=device)
        operator = HessianOperator(network, F.cross_entropy, x, y, memory_mb=54_000.0)
        v = torch.randn(operator.shape[0], dtype=torch.float64, device=device)
        with FlopCounterMode(display=False) as counter:
            operator.matvec(v)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        seconds = waited(device, lambda operator=operator, v=v: operator.matvec(v))
        found = {
            "products per second": 1 / seconds,
            "share of matrix multiplication": counter.get_total_flops() / seconds / peak,
        }
        if device.type == "cuda":
            found["most memory, GB"] = torch.cuda.max_memory_allocated(device) / 1e9
        rows += [[f"{case}, Hessian product", f"batch {size}", *item] for item in found.items()]
    return rows


def spectrum(device: torch.device, hidden: list[int], pixels: int) -> list[Any]:
    shape = (1, pixels, pixels)
    network = build_network({"name": "mlp", "arguments": {"hidden": hidden}}, shape, 10, seed=0)
    network = network.to(device)
    x, y = torch.randn(64, *shape, device=device), torch.randint(10, (64,), device=device)
    seconds = waited(device, lambda: exact_spectrum(network, F.cross_entropy, x, y), 1)
    parameters = sum(p.numel() for p in network.parameters())
    return ["all eigenvalues of one batch of 64", f"P = {parameters:,}", "seconds", seconds]


def critical_points(runs: int, steps: int) -> list[Any]:
    """On the CPU, where the workflow finds them: NumPy, all networks side by side."""
    from hessian_rmt.geometry.critical_points import find_critical_points
    from hessian_rmt.geometry.memorisation import memorisation_runs

    made = memorisation_runs(16, 64, range(runs), seed=2)
    start = perf_counter()
    found = find_critical_points(
        made.networks, made.theta, method="newton", tolerance=1e-5, accept=1e-5, max_steps=steps
    )
    rate = len(found.theta) / (perf_counter() - start)
    return ["critical points (CPU)", "n = 16, m = 64", "searches per second", rate]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("csv", nargs="?", default="results/benchmarks/gpu.csv", type=Path)
    parser.add_argument("--tiny", action="store_true", help="check the script on the CPU")
    arguments = parser.parse_args()
    if not torch.cuda.is_available() and not arguments.tiny:
        print("skipped: no GPU here (torch.cuda.is_available() is False)", file=sys.stderr)
        skipped = Comparison("GPU", "", "skipped: no GPU here", float("nan"))
        record([skipped], arguments.csv)
        return
    device = torch.device("cpu" if arguments.tiny else "cuda")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    peak = multiplication_speed(device, 256 if arguments.tiny else 16384)
    rows: list[list[Any]] = [["matrix multiplication", "float32", "TFLOP/s", peak / 1e12]]
    for case, settings in (TINY if arguments.tiny else CASES).items():
        rows += products(case, settings, device, peak)
    rows.append(spectrum(device, *(([5], 7) if arguments.tiny else ([10, 100, 100], 28))))
    rows.append(critical_points(*((4, 5) if arguments.tiny else (64, 400))))
    if arguments.tiny:
        table(rows, COLUMNS)
        return
    card = torch.cuda.get_device_name(device)
    table(rows, COLUMNS, arguments.csv)
    record([Comparison(*row, accuracy=f"on {card}") for row in rows], arguments.csv)


if __name__ == "__main__":
    main()
