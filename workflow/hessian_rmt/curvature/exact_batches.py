"""Exact spectra of a run's batches, consecutive examples without overlap, or of a whole split."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from hessian_rmt.curvature.exact import exact_spectrum
from hessian_rmt.curvature.hessian import Loss
from hessian_rmt.curvature.solvers import spectra_by_solver
from hessian_rmt.errors import UserError
from hessian_rmt.jobs import Log

# The order of codes in files
KINDS = ("structural_zero", "round_off", "signal")


def exact_spectra(
    spectra: str,
    network: nn.Module,
    loss: Loss,
    inputs: Tensor,
    targets: Tensor,
    batch_size: int,
    log: Log,
    *,
    memory_mb: float,
) -> dict[str, np.ndarray]:
    """The spectra that an address names.

    spectra: ``batches-0000-0019``, the reduced spectra of these batches, where batch i holds the
        examples i b, ..., i b + b - 1; ``plain-0000-0000``, the same without reduction;
        ``full``, the one reduced spectrum over all examples; or ``solvers-0000``, the plain spectra
        of one batch as several eigensolvers give them, see `curvature.solvers`.

    But for the last, returns batch (n,), eigenvalues (n, P), kind (n, P) indices into `KINDS`,
    floor, dimension, build_seconds and solve_seconds (n,). Raises UserError when there are too few
    examples.
    """
    path, *ends = spectra.split("-")
    if path == "full":
        batches, batch_size = range(1), len(inputs)
    else:
        batches = range(int(ends[0]), int(ends[-1]) + 1)
    needed = (max(batches) + 1) * batch_size
    if needed > len(inputs):
        raise UserError(
            f"batch {max(batches)} of {batch_size} examples ends at example {needed}, but the "
            f"split has {len(inputs)}; lower exact.batches"
        )
    if path == "solvers":
        part = slice(batches[0] * batch_size, (batches[0] + 1) * batch_size)
        return spectra_by_solver(
            network, loss, inputs[part], targets[part], log, memory_mb=memory_mb
        )
    solved = []
    for i in log.progress(batches, label="exact spectra"):
        part = slice(i * batch_size, (i + 1) * batch_size)
        spectrum = exact_spectrum(
            network,
            loss,
            inputs[part],
            targets[part],
            reduce=path != "plain",
            memory_mb=memory_mb,
        )
        solved.append(spectrum)
        signal = int((spectrum.kind == "signal").sum())
        log.line(
            f"batch {i}: {signal} of {len(spectrum.kind)} eigenvalues above {spectrum.floor:.1e}, "
            f"{spectrum.build_seconds:.2f} s to build, {spectrum.solve_seconds:.2f} s to solve"
        )
    codes = {kind: code for code, kind in enumerate(KINDS)}
    return {
        "batch": np.array(batches),
        "eigenvalues": np.stack([s.eigenvalues for s in solved]),
        "kind": np.array([[codes[kind] for kind in s.kind] for s in solved], dtype=np.int8),
        "floor": np.array([s.floor for s in solved]),
        "dimension": np.array([s.dimension for s in solved]),
        "timings/build_seconds": np.array([s.build_seconds for s in solved]),
        "timings/solve_seconds": np.array([s.solve_seconds for s in solved]),
    }
