"""Local statistics of exact spectra, arm by arm: signal, the paper's cut, round-off, full data.

`applicability` section 6 keeps every eigenvalue beyond 1e-20. Of a plain P x P eigensolve that is
mostly round-off on exact zeros. So: the *signal* arm holds what lies above the floor, of reduced
Hessians; the *cut* arm what the paper keeps, of plain ones; the *round_off* arm the part of the cut
that lies below the floor, the control; the *full* arm the signal of the one Hessian over the whole
split, which has ratios but no pool to unfold it by. For ratios, positive and negative eigenvalues
are separate spectra, since the density jumps by orders of magnitude at zero.

Spacings are tested twice: as if all matrices had one density, and against GOE spectra with each
matrix's own (`matched`), which is what the claim is about where batches differ in density.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hessian_rmt.rmt.local_tests import (
    matched_spacing_agreement,
    mean_bounded_ratio,
    ratio_agreement,
    spacing_agreement,
)
from hessian_rmt.rmt.spacings import spacing_ratios, unfold

PAPER_CUT = 1e-20
ARMS = ("signal", "full", "cut", "round_off")
SIGNAL = 2  # code of `curvature.exact_batches.KINDS`
FEWEST_MATRICES = 6  # for unfolding by a pool; fewer give spacings in steps too coarse to show
SUMMARY_COLUMNS = (
    "run",
    "epoch",
    "part",
    "arm",
    "matrices",
    "eigenvalues",
    "mean_bounded_ratio",
    "low",
    "high",
    "z_goe",
    "z_poisson",
    "ratio_distance",
    "ratio_p_value",
    "mean_ratio_p_value",
    "spacing_distance",
    "spacing_p_value",
    "matched_spacing_p_value",
    "round_off_share",
)

Spectra = Mapping[str, np.ndarray]


def local_statistics(
    reduced: Sequence[Spectra],
    plain: Sequence[Spectra],
    full: Sequence[Spectra] = (),
    *,
    replicates: int,
    seed: int,
) -> dict[str, Any]:
    """Spacings, ratios and their tests for each arm that there is data for, flat for HDF5.

    reduced, plain: tables of `curvature.exact_batches` with and without reduction; full: those of
    whole splits. Returns, for each arm A: A/ratios, A/spacings (empty where there are too few
    matrices) in multiples of A/spacing_step, A/matrices, A/eigenvalues (counts) and A/{the last
    twelve of `SUMMARY_COLUMNS`}, and A/smallest_p_value, below which mean_ratio_p_value, two-sided,
    cannot be with so many replicates; round_off_share is the share of round-off among what the
    paper's cut keeps (claim A6), in the arm cut.
    """
    statistics: dict[str, Any] = {}
    for arm, matrices in eigenvalues_by_arm(reduced, plain, full).items():
        sides = sides_of_zero(matrices, at_least=10)
        mean = mean_bounded_ratio(sides)
        ratios = ratio_agreement(sides, replicates=replicates, seed=seed)
        values: dict[str, Any] = {
            "matrices": len(matrices),
            "eigenvalues": sum(map(len, matrices)),
            "ratios": np.concatenate([spacing_ratios(side) for side in sides]),
            "spacings": np.empty(0),
            "spacing_step": np.nan,
            "mean_bounded_ratio": mean.mean,
            "low": mean.interval[0],
            "high": mean.interval[1],
            "z_goe": mean.z_goe,
            "z_poisson": mean.z_poisson,
            "ratio_distance": ratios.distance.statistic,
            "ratio_p_value": ratios.distance.p_value,
            "mean_ratio_p_value": ratios.mean.p_value,
            "smallest_p_value": 2 / (1 + replicates),
            "spacing_distance": np.nan,
            "spacing_p_value": np.nan,
            "matched_spacing_p_value": np.nan,
            "round_off_share": _round_off_share(plain) if arm == "cut" else np.nan,
        }
        if len(matrices) >= FEWEST_MATRICES:
            agreement = spacing_agreement(matrices, replicates=replicates, seed=seed)
            unfolding = unfold(matrices, seed=seed)
            values["spacings"], values["spacing_step"] = unfolding.spacings, unfolding.step
            values["spacing_distance"] = agreement.statistic
            values["spacing_p_value"] = agreement.p_value
            matched = matched_spacing_agreement(
                _compressed(matrices), replicates=replicates, seed=seed
            )
            values["matched_spacing_p_value"] = matched.p_value
        statistics |= {f"{arm}/{name}": value for name, value in values.items()}
    return statistics


def summary_rows(run: str, epoch: int, part: str, statistics: Mapping[str, Any]) -> list[list[Any]]:
    """A row of `SUMMARY_COLUMNS` per arm."""
    return [
        [run, epoch, part, arm, *(statistics[f"{arm}/{name}"] for name in SUMMARY_COLUMNS[4:])]
        for arm in ARMS
        if f"{arm}/ratios" in statistics
    ]


def eigenvalues_by_arm(
    reduced: Sequence[Spectra], plain: Sequence[Spectra], full: Sequence[Spectra] = ()
) -> dict[str, list[np.ndarray]]:
    """Each arm's eigenvalues, matrix by matrix; arguments as of `local_statistics`."""

    def rows(tables: Sequence[Spectra]) -> list[tuple[np.ndarray, np.ndarray]]:
        return [pair for t in tables for pair in zip(t["eigenvalues"], t["kind"], strict=True)]

    arms = {"signal": [values[kind == SIGNAL] for values, kind in rows(reduced)]}
    if full:
        arms["full"] = [values[kind == SIGNAL] for values, kind in rows(full)]
    if plain:
        arms["cut"] = [values[np.abs(values) > PAPER_CUT] for values, _ in rows(plain)]
        arms["round_off"] = [
            values[(np.abs(values) > PAPER_CUT) & (kind != SIGNAL)] for values, kind in rows(plain)
        ]
    return arms


def sides_of_zero(matrices: Sequence[np.ndarray], *, at_least: int) -> list[np.ndarray]:
    """The negative and the positive eigenvalues of each matrix, where there are so many."""
    sides = [side for values in matrices for side in (values[values < 0], values[values > 0])]
    return [side for side in sides if len(side) >= at_least]


def _compressed(matrices: Sequence[np.ndarray]) -> list[np.ndarray]:
    """One increasing map of all eigenvalues, after which their density varies slowly.

    They span many orders of magnitude on both sides of zero; unfolding by a pool does not change.
    """
    smallest = min(np.abs(values).min() for values in matrices)
    return [np.arcsinh(values / smallest) for values in matrices]


def _round_off_share(plain: Sequence[Spectra]) -> float:
    kept = [(np.abs(t["eigenvalues"]) > PAPER_CUT) for t in plain]
    noise = [mask & (t["kind"] != SIGNAL) for mask, t in zip(kept, plain, strict=True)]
    return sum(int(mask.sum()) for mask in noise) / sum(int(mask.sum()) for mask in kept)
