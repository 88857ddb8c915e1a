"""What the benchmarks share: timings in turns, tables with the machine, comparisons."""

import os
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from importlib import metadata
from math import isnan, nan
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy
import scipy

from hessian_rmt.storage import write_csv

PEERS = (
    "curvlinops-for-pytorch",
    "hessian-eigenthings",
    "PyHessian",
    "freealg",
    "rmtool",
)


@dataclass(frozen=True)
class Comparison:
    """A line of `bench.csv`: one figure of ours, what it should reach, and a peer beside it.

    value: of `figure`, say "times faster" (the peer's seconds over ours) or "gradients". at_least,
    at_most: what it should reach, if anything. accuracy: what both accuracies measure.
    """

    what: str
    size: str
    figure: str
    value: float
    at_least: float = nan
    at_most: float = nan
    peer: str = ""
    our_seconds: float = nan
    peer_seconds: float = nan
    accuracy: str = ""
    our_accuracy: float = nan
    peer_accuracy: float = nan

    @property
    def outcome(self) -> str:
        """Goal reached or missed, and in any case whether the peer is faster."""
        words = []
        if not (isnan(self.at_least) and isnan(self.at_most)):
            missed = self.value < self.at_least or self.value > self.at_most
            words.append("missed" if missed or isnan(self.value) else "reached")
        if self.peer_seconds < self.our_seconds:
            words.append(f"{self.peer} is faster")
        return ", ".join(words)


def record(comparisons: Iterable[Comparison], csv: str | Path) -> None:
    """Write a benchmark's comparisons beside its own table, for `bench.py`."""
    path = Path(csv).with_name(f"{Path(csv).stem}-comparisons.csv")
    columns = [field.name for field in fields(Comparison)]
    machine = _machine()
    rows = [[*astuple(c), c.outcome, *machine.values()] for c in comparisons]
    write_csv(path, [*columns, "outcome", *machine], rows)


def alternate(functions: Sequence[Callable[[], Any]], repeats: int) -> list[list[float]]:
    """Seconds of each function, `repeats` of them, taken in turns.

    Every second turn runs backwards, so that a load on the machine that comes and goes, or a cache
    that one function leaves behind, falls on all of them alike.
    """
    seconds: list[list[float]] = [[] for _ in functions]
    order = list(range(len(functions)))
    for turn in range(repeats):
        for i in order if turn % 2 == 0 else order[::-1]:
            start = perf_counter()
            functions[i]()
            seconds[i].append(perf_counter() - start)
    return seconds


def median_ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """The median of how many times `fast` fits into `slow`, turn by turn."""
    return median(a / b for a, b in zip(slow, fast, strict=True))


def table(
    rows: Sequence[Sequence[Any]], columns: Sequence[str], path: str | Path | None = None
) -> None:
    """Print `rows` under `columns`; at `path` write them as csv, with the machine's columns."""
    cells = [list(columns)] + [[_short(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    if path is not None:
        machine = _machine()
        write_csv(path, [*columns, *machine], [[*row, *machine.values()] for row in rows])


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _machine() -> dict[str, str]:
    return {
        "machine": _processor(),
        "cores": str(os.cpu_count()),
        "threads": os.environ.get("OMP_NUM_THREADS", "not set"),
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "torch": metadata.version("torch"),
        "peers": "; ".join(filter(None, map(_installed, PEERS))),
    }


def _installed(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return ""


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
