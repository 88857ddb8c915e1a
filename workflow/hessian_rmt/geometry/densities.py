"""Does (18) give the density of Wishart + Wigner? `geometry` figure 1.

Sampled matrices of two orders, N and N / 2, for every ratio phi and energy epsilon. The pooled
eigenvalues are drawn beside the cubic's density. What is tested is the averaged Green function
at three points above the spectrum, extrapolated in 1 / N, against the cubic's root G. Two
controls must be rejected: the cubic of an energy a tenth (and 0.01) too large, and a sum of
commuting matrices with the same two spectra, which are not free.
"""

from typing import Any

import numpy as np

from hessian_rmt.geometry.agreement import extrapolated, green_function, mean_p_value
from hessian_rmt.geometry.laws import (
    cubic_density,
    gauss_newton_law,
    hessian_law,
    residual_law,
    sample_hessian,
    sampled_ratio,
)
from hessian_rmt.rmt.law import Array, Law
from hessian_rmt.seeds import derive_seed

GRID = 400
LEVELS = (0.1, 0.5, 0.9)  # the test points lie above these quantiles of the law,
HEIGHT = 0.5  # at this many of its standard deviations
COMMUTING_SAMPLES = 5  # times as many, since their spectra are less rigid


def density_statistics(
    size: int, samples: int, ratios: list[float], energies: list[float], seed: int
) -> dict[str, Any]:
    """Arrays by (ratio, energy), flat for HDF5.

    `ratio`, `energy`; `eigenvalues` (ratios, energies, samples, size); `grid`, `density`
    (..., 400) from the roots of (18) (at energy 0 Marchenko-Pastur); `distance`, Kolmogorov's, of
    the pooled eigenvalues; `p_value`, `p_value_wrong_energy`, `p_value_commuting` (nan at energy 0,
    where nothing is added). Raises ValueError where samples are too few or a matrix of order `size`
    or size / 2 cannot have one of the ratios.
    """
    shape = (len(ratios), len(energies))
    eigenvalues = np.empty((*shape, samples, size))
    found: dict[str, Any] = {
        "ratio": np.array(ratios, float),
        "energy": np.array(energies, float),
        "eigenvalues": eigenvalues,
        "grid": np.empty((*shape, GRID)),
        "density": np.empty((*shape, GRID)),
        "distance": np.empty(shape),
        "p_value": np.empty(shape),
        "p_value_wrong_energy": np.empty(shape),
        "p_value_commuting": np.full(shape, np.nan),
    }
    for at in np.ndindex(shape):
        ratio, energy = ratios[at[0]], energies[at[1]]
        rng = np.random.default_rng(derive_seed(seed, "geometry", "densities", *at))
        large, small = sampled_spectra(size, samples, ratio, energy, rng)
        law = hessian_law(energy, ratio)
        grid = _grid(law)
        eigenvalues[at], found["grid"][at] = large, grid
        found["density"][at] = cubic_density(grid, energy, ratio) if energy else law.density(grid)
        found["distance"][at] = kolmogorov_distance(large.ravel(), law)
        found["p_value"][at] = green_p_value(large, small, law)
        wrong = hessian_law(1.1 * energy + 0.01, ratio)
        found["p_value_wrong_energy"][at] = green_p_value(large, small, wrong)
        if energy:
            draws = COMMUTING_SAMPLES * samples
            large, small = (
                _commuting_spectra(n, draws, ratio, energy, rng) for n in (size, size // 2)
            )
            found["p_value_commuting"][at] = green_p_value(large, small, law)
    return found


def sampled_spectra(
    size: int, samples: int, ratio: float, energy: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Eigenvalues (samples, size) and (samples, size / 2) of the simplified model."""
    for n in (size, size // 2):
        if abs(sampled_ratio(n, ratio) / ratio - 1) > 1e-12:
            raise ValueError(f"order {n} cannot have the ratio {ratio:g}")
    large, small = (
        np.stack(
            [np.linalg.eigvalsh(sample_hessian(n, energy, ratio, rng)) for _ in range(samples)]
        )
        for n in (size, size // 2)
    )
    return large, small


def green_p_value(large: Array, small: Array, law: Law) -> float:
    """Whether spectra (samples, N) and (samples, N / 2) have the Green function of `law`."""
    z = law.quantile(np.array(LEVELS)) + 1j * HEIGHT * law.variance**0.5
    draws = extrapolated(green_function(large, z), green_function(small, z))
    g = law.stieltjes(z)
    return mean_p_value(draws, np.r_[g.real, g.imag])


def kolmogorov_distance(values: Array, law: Law) -> float:
    """sup |F_n - F|."""
    expected, n = law.cdf(np.sort(values)), len(values)
    above = np.arange(1, n + 1) / n - expected
    return float(max(above.max(), (1 / n - above).max()))


def _commuting_spectra(
    size: int, samples: int, ratio: float, energy: float, rng: np.random.Generator
) -> Array:
    """Quantiles of H_0's and H_1's laws, added in random order."""
    levels = (np.arange(size) + 0.5) / size
    first = gauss_newton_law(ratio).quantile(levels)
    second = residual_law(energy, ratio, model="simplified").quantile(levels)
    return np.stack([first + rng.permutation(second) for _ in range(samples)])


def _grid(law: Law) -> Array:
    """Dense at the ends, where the density is a square root."""
    (low, _), (_, high) = law.support[0], law.support[-1]
    return low + (high - low) * np.sin(np.linspace(0, np.pi / 2, GRID)) ** 2
