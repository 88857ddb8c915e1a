"""Exact spectra of a run's batches: consecutive examples of a split, without overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from hessian_rmt.curvature.exact import exact_spectrum
from hessian_rmt.curvature.hessian import Loss
from hessian_rmt.errors import UserError
from hessian_rmt.jobs import Log

# The order of codes in files
KINDS = ("structural_zero", "round_off", "signal")


def spectra_of_batches(
    network: nn.Module,
    loss: Loss,
    inputs: Tensor,
    targets: Tensor,
    batches: Sequence[int],
    batch_size: int,
    log: Log,
    *,
    reduce: bool,
    memory_mb: float,
) -> dict[str, np.ndarray]:
    """Spectra of the batches with the given indices; batch i holds examples i b, ..., i b + b - 1.

    Returns batch (n,), eigenvalues (n, P), kind (n, P) indices into `KINDS`, floor, dimension,
    build_seconds and solve_seconds (n,). Raises UserError when there are too few examples.
    """
    needed = (max(batches) + 1) * batch_size
    if needed > len(inputs):
        raise UserError(
            f"batch {max(batches)} of {batch_size} examples ends at example {needed}, but the "
            f"split has {len(inputs)}; lower exact.batches"
        )
    spectra = []
    for i in log.progress(batches, label="exact spectra"):
        part = slice(i * batch_size, (i + 1) * batch_size)
        spectrum = exact_spectrum(
            network, loss, inputs[part], targets[part], reduce=reduce, memory_mb=memory_mb
        )
        spectra.append(spectrum)
        signal = int((spectrum.kind == "signal").sum())
        log.line(
            f"batch {i}: {signal} of {len(spectrum.kind)} eigenvalues above {spectrum.floor:.1e}, "
            f"{spectrum.build_seconds:.2f} s to build, {spectrum.solve_seconds:.2f} s to solve"
        )
    codes = {kind: code for code, kind in enumerate(KINDS)}
    return {
        "batch": np.array(batches),
        "eigenvalues": np.stack([s.eigenvalues for s in spectra]),
        "kind": np.array([[codes[kind] for kind in s.kind] for s in spectra], dtype=np.int8),
        "floor": np.array([s.floor for s in spectra]),
        "dimension": np.array([s.dimension for s in spectra]),
        "timings/build_seconds": np.array([s.build_seconds for s in spectra]),
        "timings/solve_seconds": np.array([s.solve_seconds for s in spectra]),
    }
