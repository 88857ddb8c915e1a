"""The outermost eigenvalue of a low-rank matrix in GOE noise (`deep_learning_limit` (17), (18)).

H_emp = H_true + E, E a GOE matrix whose entries have the variance sigma^2 / T: its spectrum is a
semicircle of radius 2 s, s = sqrt(N / T) sigma. An eigenvalue lambda > 0 of H_true of finite rank
becomes

    lambda + s^2 / lambda  for lambda > s,  and 2 s, the edge, else,

and its eigenvector keeps the squared overlap 1 - s^2 / lambda^2 for lambda > s and 0 else (Benaych-
Georges and Nadakuditi, Adv. Math. 227, 2011). (18) as printed has the threshold sigma in the place
of s; they are equal where N = T, which is (17). For lambda < 0 signs change.

The simulation needs no dense matrix: Householder reflections that keep the first coordinate turn
beta e_1 e_1^T + GOE into a tridiagonal matrix of independent entries with the same eigenvalues and
the same first components of the eigenvectors (Dumitriu & Edelman, J. Math. Phys. 43, 2002).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh_tridiagonal

from hessian_rmt.seeds import derive_seed

Array = NDArray[np.float64]

COLUMNS = (
    "ratio",
    "size",
    "samples",
    "printed_threshold",
    "corrected_threshold",
    "fitted_threshold",
    "low",
    "high",
    "disputed_spikes",
    "printed_error",
    "corrected_error",
)
RESAMPLES = 400
GRID = 10_001  # thresholds that a fit chooses from, up to the largest spike


def outermost_eigenvalue(
    eigenvalue: ArrayLike, deviation: float, ratio: float, *, end: int = 1, printed: bool = False
) -> Array:
    """(18) for an extreme eigenvalue of H_true: corrected threshold, or `printed` as it stands.

    deviation: sigma. ratio: N / T. end: 1 for the largest, -1 for the smallest eigenvalue, which
    says at which edge one below the threshold, of either sign, is found.
    """
    spike = end * np.asarray(eigenvalue, float)
    scale = np.sqrt(ratio) * deviation
    outside = spike > (deviation if printed else scale)
    safe = np.where(outside, spike, 1.0)
    return np.asarray(end * np.where(outside, safe + scale**2 / safe, 2 * scale))


def squared_overlap(spike: ArrayLike, threshold: ArrayLike) -> Array:
    """The limit of the outermost eigenvector's squared overlap with the spike's."""
    return np.maximum(0.0, 1 - (np.asarray(threshold, float) / np.asarray(spike, float)) ** 2)


def spiked_goe(spike: float, scale: float, size: int, rng: np.random.Generator) -> Array:
    """Largest eigenvalue of spike u u^T + GOE of radius 2 `scale`; its squared overlap with u."""
    unit = scale / np.sqrt(size)
    diagonal = unit * rng.normal(0, np.sqrt(2), size)
    off_diagonal = unit * np.sqrt(rng.chisquare(np.arange(size - 1, 0, -1)))
    diagonal[0] += spike
    last = (size - 1, size - 1)
    value, vector = eigh_tridiagonal(diagonal, off_diagonal, select="i", select_range=last)
    return np.array([value[0], vector[0, 0] ** 2])


def fitted_threshold(
    strengths: ArrayLike, overlaps: ArrayLike, rng: np.random.Generator
) -> tuple[float, float, float]:
    """The threshold that fits squared overlaps best, and its 95 % interval over resampled matrices.

    strengths: (k,) spikes. overlaps: (k, n), n matrices each. Least squares of the means with
    `squared_overlap`; both in the same units, any.
    """
    spikes, values = np.asarray(strengths, float), np.asarray(overlaps, float)
    thresholds = np.linspace(0, spikes.max(), GRID)
    limits = squared_overlap(spikes, thresholds[:, None])  # (GRID, k)

    def fit(means: Array) -> Array:
        # sum (mean - limit)^2 over spikes, less what does not depend on the threshold
        errors = np.sum(limits**2, axis=1) - 2 * means @ limits.T
        return thresholds[np.argmin(errors, axis=-1)]

    k, n = values.shape
    chosen = rng.integers(n, size=(RESAMPLES, k, n))
    resampled = fit(np.take_along_axis(values[None], chosen, axis=2).mean(axis=2))
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(fit(values.mean(axis=1))), float(low), float(high)


def spiked_statistics(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Simulated largest eigenvalues against both forms of (18), for sigma = 1.

    settings: {sizes, samples, ratios, strengths, seed}; strengths in units of s = sqrt(N / T).

    Returns ratios (r,), sizes (z,), strengths (k,) and, by ratio, size and strength, values and
    overlaps (r, z, k, samples), printed and corrected (r, k), in units of sigma; thresholds (r, z,
    3): fit and interval. errors (r, z, 2): root mean square deviation of the mean eigenvalue from
    the printed and the corrected form over spikes between the two thresholds (NaN where there are
    none).
    """
    sizes, ratios, samples = settings["sizes"], settings["ratios"], settings["samples"]
    strengths = np.asarray(settings["strengths"], float)
    shape = (len(ratios), len(sizes), len(strengths), samples)
    values, overlaps = np.empty((2, *shape))
    printed, corrected = np.empty((2, len(ratios), len(strengths)))
    thresholds = np.empty((*shape[:2], 3))
    errors = np.full((*shape[:2], 2), np.nan)
    disputed = np.zeros((len(ratios), len(strengths)), bool)
    for i, ratio in enumerate(ratios):
        scale = np.sqrt(ratio)
        spikes = scale * strengths
        corrected[i] = outermost_eigenvalue(spikes, 1.0, ratio)
        printed[i] = outermost_eigenvalue(spikes, 1.0, ratio, printed=True)
        disputed[i] = (spikes > 1.0) != (spikes > scale)
        for j, size in enumerate(sizes):
            address = ("spiked_goe", i, size)
            rng = np.random.default_rng(derive_seed(settings["seed"], *address))
            for k, spike in enumerate(spikes):
                found = np.array([spiked_goe(spike, scale, size, rng) for _ in range(samples)])
                values[i, j, k], overlaps[i, j, k] = found.T
            thresholds[i, j] = fitted_threshold(spikes, overlaps[i, j], rng)
            if disputed[i].any():
                means = values[i, j].mean(axis=1)[disputed[i]]
                for m, form in enumerate((printed, corrected)):
                    errors[i, j, m] = np.sqrt(np.mean((means - form[i][disputed[i]]) ** 2))
    return {
        "ratios": np.asarray(ratios, float),
        "sizes": np.asarray(sizes),
        "strengths": strengths,
        "values": values,
        "overlaps": overlaps,
        "printed": printed,
        "corrected": corrected,
        "disputed": disputed,
        "thresholds": thresholds,
        "errors": errors,
    }


def summary_rows(statistics: Mapping[str, Any]) -> list[Sequence[Any]]:
    """Rows of `COLUMNS`, one per ratio and size; all in units of sigma."""
    rows: list[Sequence[Any]] = []
    for i, ratio in enumerate(statistics["ratios"]):
        for j, size in enumerate(statistics["sizes"]):
            fit, low, high = statistics["thresholds"][i, j]
            rows.append(
                (
                    float(ratio),
                    int(size),
                    statistics["values"].shape[3],
                    1.0,
                    float(np.sqrt(ratio)),
                    fit,
                    low,
                    high,
                    int(statistics["disputed"][i].sum()),
                    *statistics["errors"][i, j],
                )
            )
    return rows
