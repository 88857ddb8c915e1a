"""Random matrices with the laws of `laws`: H = H_0 + H_1, Gaussian entries.

H_0 = X X^T, X (N, N / phi) of variance sigma phi / N. H_1 is a Wigner matrix with off-diagonal
variance 2 epsilon / N (simplified), or [[0, A], [A^T, 0]] with A = e x^T / m, e and x (n, m / 2) of
variance 2 epsilon and 1, N = 2 n, phi = 2 n / m (refined): one block of `geometry` (23), whose
other blocks repeat its eigenvalues. H_0 is invariant under rotations, so both parts are free as N
grows.
"""

import numpy as np

from hessian_rmt.errors import UserError
from hessian_rmt.geometry.laws import Model, check_model
from hessian_rmt.rmt.ensembles import goe, wishart
from hessian_rmt.rmt.law import Array


def sample_hessian(
    size: int,
    energy: float,
    ratio: float,
    rng: np.random.Generator,
    *,
    model: Model = "simplified",
    variance: float = 1.0,
) -> Array:
    """One matrix (size, size) of the model; see `hessian_law` for the parameters.

    Columns are rounded to whole numbers; `check_order` says where they are exact. The refined
    model needs an even size. Raises ValueError.
    """
    check_model(model)
    hessian = variance * wishart(size, rng, ratio=ratio)
    if model == "simplified":
        return hessian + (4 * energy) ** 0.5 * goe(size, rng)
    if size % 2:
        raise ValueError(f"sample_hessian: the refined model needs an even size, not {size}")
    half = size // 2
    passed = round(half / ratio)  # m / 2
    residuals = (2 * energy) ** 0.5 * rng.standard_normal((half, passed))
    block = residuals @ rng.standard_normal((half, passed)).T / (2 * passed)
    hessian[:half, half:] += block
    hessian[half:, :half] += block.T
    return hessian


def sample_spectra(
    size: int,
    samples: int,
    energy: float,
    ratio: float,
    rng: np.random.Generator,
    *,
    model: Model = "simplified",
    variance: float = 1.0,
) -> tuple[Array, Array]:
    """Eigenvalues (samples, size) and (samples, size / 2), ascending in each row.

    Raises UserError where such matrices cannot have the ratio.
    """
    check_order(size, ratio)
    large, small = (
        np.stack(
            [
                np.linalg.eigvalsh(
                    sample_hessian(n, energy, ratio, rng, model=model, variance=variance)
                )
                for _ in range(samples)
            ]
        )
        for n in (size, size // 2)
    )
    return large, small


def check_order(size: int, ratio: float) -> None:
    """Refuse orders `size` where H_0 or H_1, of order size or size / 2, has another ratio."""
    columns = size / 4 / ratio
    if size % 4 or abs(columns - round(columns)) > 1e-9 * columns:
        raise UserError(
            f"matrices of size {size} cannot have the ratio {ratio:g} at both sizes compared; "
            "choose in figures.geometry a size that is a multiple of 4 and whose quarter divided "
            "by each ratio is a whole number"
        )
