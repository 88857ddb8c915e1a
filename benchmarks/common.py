"""What the benchmarks share: alternating timings, and tables with the machine's columns."""

import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy
import scipy

from hessian_rmt.storage import write_csv


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
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
