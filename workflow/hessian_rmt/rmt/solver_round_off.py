"""Round-off on exact zeros, by eigensolver: how much passes the cut, and what it looks like.

`applicability` section 6 takes every eigenvalue beyond 1e-20 for spectrum. Of a Hessian whose rank
is known, the eigenvalues beyond that many largest ones (in size) are round-off.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from hessian_rmt.rmt.local_statistics import PAPER_CUT, sides_of_zero
from hessian_rmt.rmt.local_tests import MeanRatio, mean_bounded_ratio

COLUMNS = (
    "solver",
    "parameters",
    "signal",
    "passing_cut",
    "round_off_share",
    "largest_round_off",
    "round_off_mean_bounded_ratio",
    "round_off_low",
    "round_off_high",
    "round_off_z_goe",
    "round_off_z_poisson",
    "cut_mean_bounded_ratio",
    "cut_low",
    "cut_high",
    "signal_mean_bounded_ratio",
    "signal_low",
    "signal_high",
)


def round_off_rows(spectra: Mapping[str, Any]) -> Iterator[list[Any]]:
    """A row of `COLUMNS` for each solver of `curvature.solvers.spectra_by_solver`.

    Ratios as everywhere: negative and positive eigenvalues are spectra of their own. Entries are
    nan where fewer than twenty ratios are there.
    """
    signal = int(spectra["signal"])
    for solver, eigenvalues in zip(spectra["solver"], spectra["eigenvalues"], strict=True):
        by_size = np.argsort(-np.abs(eigenvalues), kind="stable")
        kept = eigenvalues[by_size[:signal]]
        noise = eigenvalues[by_size[signal:]]
        noise = noise[np.abs(noise) > PAPER_CUT]
        passing = np.abs(eigenvalues) > PAPER_CUT
        of_noise, of_cut, of_signal = map(_ratio, (noise, eigenvalues[passing], kept))
        yield [
            str(solver),
            len(eigenvalues),
            signal,
            int(passing.sum()),
            len(noise) / int(passing.sum()),
            float(np.abs(noise).max(initial=0.0)),
            *_interval(of_noise),
            of_noise.z_goe if of_noise else np.nan,
            of_noise.z_poisson if of_noise else np.nan,
            *_interval(of_cut),
            *_interval(of_signal),
        ]


def _ratio(values: np.ndarray) -> MeanRatio | None:
    sides = sides_of_zero([values], at_least=3)
    return mean_bounded_ratio(sides) if sum(len(side) - 2 for side in sides) >= 20 else None


def _interval(ratio: MeanRatio | None) -> tuple[float, float, float]:
    return (ratio.mean, *ratio.interval) if ratio else (np.nan, np.nan, np.nan)
