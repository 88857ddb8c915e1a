"""What an eigensolver makes of exact zeros: a known null space in three positions.

H = H_0 with d rows and columns of zeros has d exact zeros. A plain eigensolve of

    padded     H itself: zeros stay zeros, since Householder vectors vanish on them
    permuted   P H P^T, P a random permutation: null vectors are coordinates, but rows of zeros lie
               between the others and are mixed with them
    rotated    Q H Q^T, Q Haar: the null space is no one's coordinates, as a network's

is cut at 1e-20, as `applicability` section 6 does. Since d is known, the round-off is known too:
the d eigenvalues next to zero.
"""

from collections.abc import Sequence

import numpy as np

from hessian_rmt.rmt.ensembles import rotated
from hessian_rmt.rmt.law import Array
from hessian_rmt.rmt.local_statistics import PAPER_CUT

PLACEMENTS = ("padded", "permuted", "rotated")
FEWEST_LEVELS = 10  # on one side of zero, to count as a spectrum


def round_off_arms(
    matrices: Sequence[Array], nullity: int, seed: int
) -> tuple[dict[str, list[Array]], dict[str, float]]:
    """Spectra by arm, and counts, of matrices (n, n) whose last `nullity` rows are zero.

    For each placement P, arms "P/cut" (what passes 1e-20) and "P/round_off" (the zeros among it):
    positive and negative eigenvalues apart, since the density jumps at zero. Counts, per matrix:
    P/kept and P/round_off_kept of the cut, P/exact_zeros, P/share of round-off in what is kept;
    and P/largest round-off, relative to the norm of each matrix, P/smallest_signal likewise.
    """
    rng = np.random.default_rng(seed)
    arms: dict[str, list[Array]] = {}
    counts: dict[str, float] = {}
    for placement in PLACEMENTS:
        spectra = np.stack([np.linalg.eigvalsh(_placed(m, placement, rng)) for m in matrices])
        order = np.argsort(np.abs(spectra), axis=1)
        ordered = np.take_along_axis(spectra, order, axis=1)
        noise = ordered[:, :nullity]
        passing = [row[np.abs(row) > PAPER_CUT] for row in noise]
        kept = [row[np.abs(row) > PAPER_CUT] for row in spectra]
        arms |= {f"{placement}/cut": _sides(kept), f"{placement}/round_off": _sides(passing)}
        norms = np.abs(ordered[:, -1])
        kept_count, noise_count = sum(map(len, kept)), sum(map(len, passing))
        counts |= {
            f"{placement}/kept": kept_count / len(matrices),
            f"{placement}/round_off_kept": noise_count / len(matrices),
            f"{placement}/exact_zeros": float(np.sum(noise == 0)) / len(matrices),
            f"{placement}/share": noise_count / kept_count,
            f"{placement}/largest": float(np.max(np.abs(noise[:, -1]) / norms)),
            f"{placement}/smallest_signal": float(np.min(np.abs(ordered[:, nullity]) / norms)),
        }
    return arms, counts


def _placed(matrix: Array, placement: str, rng: np.random.Generator) -> Array:
    if placement == "rotated":
        return rotated(matrix, rng)
    if placement == "permuted":
        order = rng.permutation(len(matrix))
        return matrix[np.ix_(order, order)]
    return matrix


def _sides(spectra: Sequence[Array]) -> list[Array]:
    sides = [side for x in spectra for side in (np.sort(x[x < 0]), np.sort(x[x > 0]))]
    return [side for side in sides if len(side) >= FEWEST_LEVELS]
