"""Index curves of both models, the 3/2 law, sampled indices, critical energies (figure figX1).

`geometry` (19)-(22), (31)-(33). Sampled indices are counts of negative eigenvalues of matrices of
orders N and N / 2, extrapolated in 1 / N (see `agreement`); the control compares them with the
index at an energy a tenth too large.
"""

from itertools import product
from typing import Any

import numpy as np

from hessian_rmt.geometry.agreement import combined_p_value, extrapolated, mean_p_value
from hessian_rmt.geometry.critical_energy import (
    critical_energy,
    critical_energy_near_one,
    critical_energy_printed,
)
from hessian_rmt.geometry.exponent import fit_exponent, limiting_exponent
from hessian_rmt.geometry.index import index_by_integration, index_curve
from hessian_rmt.geometry.laws import MODELS, Model, hessian_law
from hessian_rmt.geometry.sampling import sample_spectra
from hessian_rmt.jobs import Log
from hessian_rmt.rmt.law import Array
from hessian_rmt.seeds import derive_seed

DISTANCES = np.logspace(-4, 3, 141)  # energy / critical energy - 1
INTEGRATED = slice(None, None, 10)
WINDOWS = np.array([0.01, 0.03, 0.1, 0.3, 1.0])  # largest distance of a fit, its smallest a 30th
FIT_POINTS = 40
LIMIT_WINDOW = 0.03  # distances below it give the limiting exponent
RATIOS = np.linspace(0.02, 0.98, 97)


def index_statistics(
    size: int,
    samples: int,
    ratios: list[float],
    relative_energies: list[float],
    variance: float,
    seed: int,
    *,
    log: Log | None = None,
) -> dict[str, Any]:
    """Arrays by (model, ratio), models simplified and refined, flat for HDF5.

    - `ratio`, `variance` of H_0, `critical_energy`, `prefactor`
    - curves over `distance` (141,): `energy`, `index`, `asymptotic` (..., 141); at every tenth
      point `integration_error`, the largest difference of closed form and integrated density
    - free fits by `window`: `exponent`, `exponent_low`, `exponent_high`, and
      `fitted_critical_energy` relative to the exact one (..., 5)
    - `limiting_exponent`, `limiting_exponent_interval` (..., 2)
    - `sampled_energy`, `sampled_index`, `sampled_error` (standard error), `sampled_exact`
      (..., energies); `p_value`, `p_value_wrong_energy`, combined over the energies, and
      `p_value_model` (2,), over the ratios too
    - by `curve_ratio` (97,): `critical_curve`, `critical_curve_printed`, `critical_curve_near_one`

    Raises UserError as `densities.density_statistics` does.
    """
    shape = (len(MODELS), len(ratios))
    rows = []
    for model, ratio in product(MODELS, ratios):
        rows.append(_row(size, samples, model, ratio, relative_energies, variance, seed))
        if log:
            log.line(f"{model}, ratio {ratio:g}: p = {rows[-1]['p_value']:.3g}")
    found: dict[str, Any] = {
        name: np.reshape([row[name] for row in rows], shape + np.shape(rows[0][name]))
        for name in rows[0]
    }
    found["p_value_model"] = np.array([combined_p_value(p) for p in found["p_value"]])
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
    near = DISTANCES < LIMIT_WINDOW
    limit, interval = limiting_exponent(DISTANCES[near], curve.index[near])
    energies = critical * np.array(relative_energies)
    draws = np.empty((len(energies), samples))
    for k, energy in enumerate(energies):
        rng = np.random.default_rng(derive_seed(seed, "geometry", "index", model, str(ratio), k))
        spectra = sample_spectra(size, samples, energy, ratio, rng, model=model, variance=variance)
        draws[k] = extrapolated(*(np.mean(values < 0, axis=1) for values in spectra))
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
        "limiting_exponent": limit,
        "limiting_exponent_interval": interval,
        "sampled_energy": energies,
        "sampled_index": draws.mean(1),
        "sampled_error": draws.std(1, ddof=1) / samples**0.5,
        "sampled_exact": exact,
        "p_value": _p_value(draws, exact),
        "p_value_wrong_energy": _p_value(draws, wrong),
    }


def _p_value(draws: Array, expected: Array) -> float:
    """Fisher's combination of Student's tests, one an energy."""
    pairs = zip(draws, expected, strict=True)
    return combined_p_value([mean_p_value(draw[:, None], [value]) for draw, value in pairs])
