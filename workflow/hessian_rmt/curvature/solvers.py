"""One plain Hessian, many eigensolvers: what round-off looks like depends on who rounds.

All are backward stable, so each returns the eigenvalues of a matrix within eps ||H|| of H. On the
null space, that matrix is the solver's alone: its eigenvalues have the local statistics of the
routine, which differ with and without vectors and between the two triangles, whatever the network
is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.linalg
import torch
from torch import Tensor, nn

from hessian_rmt.curvature.exact import exact_spectrum, plain_hessian
from hessian_rmt.curvature.hessian import Loss
from hessian_rmt.jobs import Log


def _permuted(H: Tensor) -> Tensor:
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(H)))
    return H[order][:, order]


def _rotated(H: Tensor) -> Tensor:
    """Q H Q^T, Q orthogonal and random: no direction is an axis any more."""
    generator = torch.Generator().manual_seed(0)
    q = torch.linalg.qr(torch.randn(H.shape, generator=generator, dtype=H.dtype)).Q
    rotated = q @ H @ q.T
    return (rotated + rotated.T) / 2


SOLVERS: dict[str, Callable[[Tensor], np.ndarray]] = {
    "torch eigvalsh": lambda H: torch.linalg.eigvalsh(H).numpy(),
    "torch eigvalsh, upper triangle": lambda H: torch.linalg.eigvalsh(H, UPLO="U").numpy(),
    "torch eigh": lambda H: torch.linalg.eigh(H).eigenvalues.numpy(),
    "numpy eigvalsh": lambda H: np.linalg.eigvalsh(H.numpy()),
    "numpy eigvalsh, upper triangle": lambda H: np.linalg.eigvalsh(H.numpy(), UPLO="U"),
    "scipy eigvalsh, driver evr": lambda H: scipy.linalg.eigvalsh(H.numpy(), driver="evr"),
    "torch eigvalsh, single precision": lambda H: torch.linalg.eigvalsh(H.float()).double().numpy(),
    "torch eigvalsh, rows permuted": lambda H: torch.linalg.eigvalsh(_permuted(H)).numpy(),
    "torch eigvalsh, rotated": lambda H: torch.linalg.eigvalsh(_rotated(H)).numpy(),
}


def spectra_by_solver(
    network: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor, log: Log, *, memory_mb: float
) -> dict[str, np.ndarray]:
    """The P x P Hessian's spectrum by each of `SOLVERS`, on the CPU.

    Returns solver (s,), eigenvalues (s, P) ascending, and signal, how many eigenvalues the exact
    reduction certifies: so all others of a plain spectrum, the smallest in size, are round-off.
    Raises UserError as `exact_spectrum`.
    """
    reduced = exact_spectrum(network, loss, inputs, targets, memory_mb=memory_mb)
    H = plain_hessian(network, loss, inputs, targets, memory_mb=memory_mb).cpu()
    spectra = [solve(H) for solve in log.progress(SOLVERS.values(), label="eigensolvers")]
    return {
        "solver": np.array(list(SOLVERS)),
        "eigenvalues": np.stack(spectra),
        "signal": np.array(int((reduced.kind == "signal").sum())),
    }
