"""Index curves of both models, the 3/2 law, sampled indices, critical energies (figure figX1).

`geometry` (19)-(22), (31)-(33). Sampled indices are counts of negative eigenvalues of matrices of
orders N and N / 2, extrapolated in 1 / N (see `agreement`); the control compares them with the
index at an energy a tenth too large.
"""

from typing import Any

import numpy as np
from scipy.stats import combine_pvalues

from hessian_rmt.geometry.agreement import extrapolated, mean_p_value
from hessian_rmt.geometry.critical_energy import (
    critical_energy,
    critical_energy_near_one,
    critical_energy_printed,
)
from hessian_rmt.geometry.exponent import fit_exponent
from hessian_rmt.geometry.index import index_by_integration, index_curve
from hessian_rmt.geometry.laws import MODELS, Model, hessian_law, sample_hessian, sampled_ratio
from hessian_rmt.rmt.law import Array
from hessian_rmt.seeds import derive_seed

DISTANCES = np.logspace(-4, 3, 141)  # energy / critical energy - 1
INTEGRATED = slice(None, None, 10)
WINDOWS = np.array([0.01, 0.03, 0.1, 0.3, 1.0])  # largest distance of a fit, its smallest a 30th
FIT_POINTS = 40
RATIOS = np.linspace(0.02, 0.98, 97)


def index_statistics(
    size: int,
    samples: int,
    ratios: list[float],
    relative_energies: list[float],
    variance: float,
    seed: int,
) -> dict[str, Any]:
    """Arrays by (model, ratio), models simplified and refined, flat for HDF5.

    `ratio`, `variance` of H_0, `critical_energy`, `prefactor`; curves `energy`, `index`,
    `asymptotic` (..., 141); `integration_error`, the largest difference between closed form and
    integral of the density at every tenth point; exponents of free fits by `window`: `exponent`,
    `exponent_low`, `exponent_high`, `fitted_critical_energy` relative to the exact one (..., 5);
    sampled `sampled_energy`, `sampled_index`, `sampled_error` (standard error), `sampled_exact`
    (..., energies), `p_value`, `p_value_wrong_energy` (Fisher's, over the energies). By
    `curve_ratio`: `critical_curve`, `critical_curve_printed`, `critical_curve_near_one` (2, 97).
    """
    shape = (len(MODELS), len(ratios))
    rows = [
        _row(size, samples, model, ratio, relative_energies, variance, seed)
        for model in MODELS
        for ratio in ratios
    ]
    found: dict[str, Any] = {
        name: np.reshape([row[name] for row in rows], shape + np.shape(rows[0][name]))
        for name in rows[0]
    }
    for name, function in (
        ("critical_curve", critical_energy),
        ("critical_curve_printed", critical_energy_printed),
        ("critical_curve_near_one", critical_energy_near_one),
    ):
        found[name] = np.stack([function(RATIOS, model=m, variance=variance) for m in MODELS])
    return found | {
        "ratio": np.array(ratios, float),
        "variance": variance,
        "window": WINDOWS,
        "distance": DISTANCES,
        "curve_ratio": RATIOS,
    }


def sampled_indices(
    size: int,
    samples: int,
    energy: float,
    ratio: float,
    rng: np.random.Generator,
    *,
    model: Model = "simplified",
    variance: float = 1.0,
) -> Array:
    """Index (samples,) of matrices of order `size` and size / 2, extrapolated in 1 / size."""
    for n in (size, size // 2):
        if abs(sampled_ratio(n, ratio) / ratio - 1) > 1e-12:
            raise ValueError(f"order {n} cannot have the ratio {ratio:g}")
    fractions = (
        [
            np.mean(
                np.linalg.eigvalsh(
                    sample_hessian(n, energy, ratio, rng, model=model, variance=variance)
                )
                < 0
            )
            for _ in range(samples)
        ]
        for n in (size, size // 2)
    )
    return extrapolated(*fractions)


def _row(
    size: int,
    samples: int,
    model: Model,
    ratio: float,
    relative_energies: list[float],
    variance: float,
    seed: int,
) -> dict[str, Any]:
    critical = float(critical_energy(ratio, model=model, variance=variance))
    curve = index_curve(critical * (1 + DISTANCES), ratio, model=model, variance=variance)
    integrals = [
        index_by_integration(hessian_law(energy, ratio, model=model, variance=variance))
        for energy in curve.energy[INTEGRATED].tolist()
    ]
    fits = []
    for window in WINDOWS:
        energy = critical * (1 + np.geomspace(window / 30, window, FIT_POINTS))
        index = index_curve(energy, ratio, model=model, variance=variance).index
        fits.append(fit_exponent(energy, index, critical_energy=critical))
    energies = critical * np.array(relative_energies)
    draws = np.stack(
        [
            sampled_indices(
                size,
                samples,
                energy,
                ratio,
                np.random.default_rng(derive_seed(seed, "geometry", "index", model, str(ratio), k)),
                model=model,
                variance=variance,
            )
            for k, energy in enumerate(energies)
        ]
    )
    exact, wrong = (
        index_curve(factor * energies, ratio, model=model, variance=variance).index
        for factor in (1.0, 1.1)
    )
    return {
        "critical_energy": curve.critical_energy,
        "prefactor": curve.prefactor,
        "energy": curve.energy,
        "index": curve.index,
        "asymptotic": curve.asymptotic,
        "integration_error": np.max(np.abs(np.array(integrals) - curve.index[INTEGRATED])),
        "exponent": [fit.exponent for fit in fits],
        "exponent_low": [fit.interval[0] for fit in fits],
        "exponent_high": [fit.interval[1] for fit in fits],
        "fitted_critical_energy": [fit.critical_energy / critical for fit in fits],
        "sampled_energy": energies,
        "sampled_index": draws.mean(1),
        "sampled_error": draws.std(1, ddof=1) / samples**0.5,
        "sampled_exact": exact,
        "p_value": _combined(draws, exact),
        "p_value_wrong_energy": _combined(draws, wrong),
    }


def _combined(draws: Array, expected: Array) -> float:
    """Fisher's combination of Student's tests, one an energy."""
    values = [mean_p_value(d[:, None], [e]) for d, e in zip(draws, expected, strict=True)]
    known = [value for value in values if np.isfinite(value)]
    return float(combine_pvalues(known).pvalue) if known else float("nan")
