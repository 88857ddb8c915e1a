"""Number variance and Delta_3 of exact spectra against the GOE (`rmt.spacings`), arm by arm.

Each side of zero is unfolded by its own smooth staircase, as log |lambda|: unfolded levels do not
depend on such a map, and Hessians' eigenvalues span many orders of magnitude, over which the
density of the logarithm varies slowly. The staircase takes some of the fluctuations with it: the
longer the window, the more. So the reference is not the GOE's closed form but GOE
spectra of the same sizes and densities, unfolded alike (`rmt.local_tests.matched_goe`). With their
mean m(L) and deviation s(L) at window length L, the statistic is max_L |X(L) - m(L)| / s(L), and

    p = (1 + #{replicates with at least as large a maximum}) / (1 + replicates).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hessian_rmt.rmt.local_statistics import Spectra, eigenvalues_by_arm, sides_of_zero
from hessian_rmt.rmt.local_tests import matched_goe
from hessian_rmt.rmt.spacings import delta3, number_variance, unfold_smooth

MEASURES = {"number_variance": number_variance, "delta3": delta3}
WINDOW = 50  # eigenvalues over which the staircase is smoothed; lengths stay below a fifth of it
LENGTHS = np.geomspace(0.25, 10.0, 13)
SHORTEST = 50  # eigenvalues of a side that is looked at
MATRICES = 20  # the first of each arm; more would cost minutes in the reference


def rigidity_statistics(
    reduced: Sequence[Spectra], plain: Sequence[Spectra], *, replicates: int, seed: int
) -> dict[str, Any]:
    """Both measures, of `MATRICES` matrices of each arm with long enough sides, flat for HDF5.

    reduced, plain: as of `local_statistics`. Returns lengths (n,) in mean spacings, and for each
    arm A and measure M: A/M and A/M_error (n,), the mean over sides and its standard error, A/M_goe
    (replicates, n), A/M_p_value; and A/sides, their number.
    """
    statistics: dict[str, Any] = {"lengths": LENGTHS}
    for arm, matrices in eigenvalues_by_arm(reduced, plain).items():
        sides = sides_of_zero(matrices[:MATRICES], at_least=SHORTEST)
        sides = [np.log(np.abs(x)) for x in sides]
        if not sides:
            continue
        statistics[f"{arm}/sides"] = len(sides)
        observed = _measured(sides)
        null = [
            {name: np.nanmean(values, axis=0) for name, values in _measured(spectra).items()}
            for spectra in matched_goe(sides, replicates, window=WINDOW, seed=seed)
        ]
        for name, values in observed.items():
            mean = np.nanmean(values, axis=0)
            reference = np.stack([each[name] for each in null])
            statistics |= {
                f"{arm}/{name}": mean,
                f"{arm}/{name}_error": np.nanstd(values, axis=0, ddof=1) / len(values) ** 0.5
                if len(values) > 1
                else np.full(len(LENGTHS), np.nan),
                f"{arm}/{name}_goe": reference,
                f"{arm}/{name}_p_value": largest_deviation_p_value(mean, reference),
            }
    return statistics


def largest_deviation_p_value(observed: np.ndarray, null: np.ndarray) -> float:
    """p of max |observed - mean| / deviation, (n,) against (replicates, n) of the null.

    Mean and deviation are over the null and the observed together, which makes all of them
    exchangeable where the null holds, and p exact.
    """
    together = np.vstack([null, observed])
    centre, scale = together.mean(axis=0), together.std(axis=0)
    largest = np.max(np.abs(together - centre) / scale, axis=1)
    return float((1 + np.sum(largest[:-1] >= largest[-1])) / len(largest))


def _measured(spectra: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """(spectra, lengths) of each measure; nan where a spectrum is too short for a length."""
    levels = [unfold_smooth(values, window=WINDOW) for values in spectra]
    return {
        name: np.stack([measure(each, LENGTHS) for each in levels])
        for name, measure in MEASURES.items()
    }
