"""Local statistics of outermost eigenvalues: spacing ratios at both ends of large Hessians.

Each batch gives two spectra, its certified and complete values at the top and at the bottom
(`curvature.extreme`). The outermost 20 of each are left out: outliers, which no local law is about.
So are the innermost 15. There residuals grow tenfold from one rank or two to the next, sooner at
small gaps, which Lanczos resolves last: a run tends to end at a small gap, and its ratios would be
missing. Further out, residuals are so small that no gap could have ended the run.

Ratios (`rmt.spacings`, (11)) need no unfolding; how much the steep density near an edge shifts
them is part of the reference, GOE levels of the same density (`rmt.local_tests`).

The *control* are the Ritz values between the two ends. A Krylov space far too small for them puts
them like the nodes of a quadrature, evenly: they must be rejected.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hessian_rmt.errors import UserError
from hessian_rmt.rmt.local_tests import mean_bounded_ratio, ratio_agreement
from hessian_rmt.rmt.spacings import spacing_ratios

Array = NDArray[np.float64]

DROPPED = 20  # outermost values at either end
FRONTIER = 15  # innermost values of either block
FEWEST = 10  # eigenvalues of an end that are worth ratios
ARMS = ("top", "bottom", "both", "control")
SUMMARY_COLUMNS = (
    "run",
    "epoch",
    "arm",
    "batches",
    "eigenvalues",
    "count",
    "mean_bounded_ratio",
    "standard_error",
    "low",
    "high",
    "z_goe",
    "z_poisson",
    "ratio_distance",
    "ratio_p_value",
    "mean_ratio_p_value",
)


def certified_ends(table: Mapping[str, Any]) -> tuple[Array, Array]:
    """The certified, complete values of one batch at the bottom and at the top, ascending."""
    values = table["values"]
    lower = values[: table["bottom"]]
    upper = values[len(values) - table["top"] :]
    return lower[lower < table["floor"]], upper[upper > table["ceiling"]]


def extreme_statistics(
    tables: Sequence[Mapping[str, Any]], *, replicates: int, seed: int
) -> dict[str, Any]:
    """Ratios and their tests for each of `ARMS`, flat for HDF5.

    tables: one per batch, the fields of `curvature.extreme.ExtremeEigenvalues`. Returns
    A/bounded_ratios, A/{all but the first three of `SUMMARY_COLUMNS`} and A/smallest_p_value (as of
    `local_statistics`) for each arm A that has 20 ratios or more; and for E = top, bottom, by rank
    from that end: E/relative_residual (batches, m) residuals over local mean spacing, nan beyond a
    batch's Ritz values, and E/certified (batches,). dropped, frontier and share tell what was left
    out, and which residuals are certified.

    Raises UserError where both ends together have too few values.
    """
    ends = [certified_ends(table) for table in tables]
    bottom = [_inner(lower) for lower, _ in ends]
    top = [_inner(upper[::-1])[::-1] for _, upper in ends]
    control = [_between(table, *both) for table, both in zip(tables, ends, strict=True)]
    statistics: dict[str, Any] = {"dropped": DROPPED, "frontier": FRONTIER}
    for arm, spectra in zip(ARMS, (top, bottom, top + bottom, control), strict=True):
        statistics |= _arm(arm, spectra, len(tables), replicates, seed)
    if "both/count" not in statistics:
        found = [(len(lower), len(upper)) for lower, upper in ends]
        raise UserError(
            f"the batches have (bottom, top) {', '.join(map(str, found))} certified eigenvalues, "
            f"of which {DROPPED + FRONTIER} at each end are left out: too few for ratios; raise "
            "extreme.products or extreme.seeds"
        )
    residuals = [table["relative_residuals"] for table in tables]
    longest = max(map(len, residuals))
    statistics["share"] = tables[0]["share"]
    for name, direction, index in (("bottom", 1, 0), ("top", -1, 1)):
        by_rank = [
            np.pad(x[::direction], (0, longest - len(x)), constant_values=np.nan) for x in residuals
        ]
        statistics[f"{name}/relative_residual"] = np.stack(by_rank)
        statistics[f"{name}/certified"] = np.array([len(both[index]) for both in ends])
    return statistics


def summary_rows(run: str, epoch: int, statistics: Mapping[str, Any]) -> list[list[Any]]:
    """A row of `SUMMARY_COLUMNS` per arm."""
    return [
        [run, epoch, arm, *(statistics[f"{arm}/{name}"] for name in SUMMARY_COLUMNS[3:])]
        for arm in ARMS
        if f"{arm}/count" in statistics
    ]


def _inner(block: Array) -> Array:
    """What the tests see of a block that is sorted from its end of the spectrum inwards."""
    return block[DROPPED : max(len(block) - FRONTIER, DROPPED)]


def _between(table: Mapping[str, Any], lower: Array, upper: Array) -> Array:
    values = table["values"]
    return values[len(lower) : len(values) - len(upper)]


def _arm(
    arm: str, spectra: Sequence[Array], batches: int, replicates: int, seed: int
) -> dict[str, Any]:
    spectra = [values for values in spectra if len(values) >= FEWEST]
    if sum(len(values) - 2 for values in spectra) < 20:
        return {}
    mean = mean_bounded_ratio(spectra)
    agreement = ratio_agreement(spectra, bounded=True, replicates=replicates, seed=seed)
    values = {
        "bounded_ratios": np.concatenate([spacing_ratios(x, bounded=True) for x in spectra]),
        "batches": batches,
        "eigenvalues": sum(map(len, spectra)),
        "count": mean.count,
        "mean_bounded_ratio": mean.mean,
        "standard_error": mean.standard_error,
        "low": mean.interval[0],
        "high": mean.interval[1],
        "z_goe": mean.z_goe,
        "z_poisson": mean.z_poisson,
        "ratio_distance": agreement.distance.statistic,
        "ratio_p_value": agreement.distance.p_value,
        "mean_ratio_p_value": agreement.mean.p_value,
        "smallest_p_value": 2 / (1 + replicates),
    }
    return {f"{arm}/{name}": value for name, value in values.items()}
