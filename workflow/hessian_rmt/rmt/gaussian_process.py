"""Hessians of a stationary Gaussian process: densities and local statistics (`applicability` 7).

A centred Gaussian field f on R^n with Cov(f(w), f(w')) = k(-|w - w'|^2 / 2) has, since odd orders
vanish, phi(u) = k(-|u|^2 / 2) = k(0) - k'(0) |u|^2 / 2 + k''(0) |u|^4 / 8 - ..., hence

    Cov(d_i f, d_j f) = -d_ij phi(0)     = k'(0) delta_ij                                     (16)
    Cov(d_ij f, d_kl f) = d_ijkl phi(0)  = k''(0) (delta_ik delta_jl + delta_il delta_jk + c),

with c = delta_ij delta_kl; (17) prints k'(0)^2 delta_ij delta_kl as the last term. So the Hessian
is a GOE matrix plus z sqrt(c) times the identity, z normal, c = k''(0) or, printed, k'(0)^2: its
local statistics are the GOE's by construction, which makes claim A5 a test of the code. Its trace
tells the two forms apart exactly, tr H / n ~ N(0, c + 2 k''(0) / n).

The field's spectral measure gives n k'(0) = int |w|^2 and n (n + 2) k''(0) = int |w|^4, so
k'(0) = 0 allows a constant field only. Where k'(0) = 0 is combined with k''(0) > 0 (Fig. 5), the
matrices exist, but are no stationary process's Hessians; (n k'(0))^2 <= k(0) n (n + 2) k''(0).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from scipy.stats import chi2, mannwhitneyu, norm

from hessian_rmt.rmt.discrete_laws import Atoms
from hessian_rmt.rmt.ensembles import gaussian_process_hessian, gaussian_process_law
from hessian_rmt.rmt.free_convolution import free_additive_convolution
from hessian_rmt.rmt.law import Array, Law
from hessian_rmt.rmt.laws import Semicircle
from hessian_rmt.rmt.local_tests import (
    goe_eigenvalues,
    mean_bounded_ratio,
    ratio_agreement,
    spacing_agreement,
)
from hessian_rmt.rmt.round_off import round_off_arms
from hessian_rmt.rmt.spacings import spacing_ratios
from hessian_rmt.seeds import derive_seed

EDGES = 62  # of a histogram; without outliers zero is in the middle of a bin
RATIO_EDGES = np.linspace(0, 5, 51)
CONTROL = "control"  # independent levels
CELLS, FARTHEST = 400, 4.5  # of the grid in |z| for the law of the outliers
FEWEST_RATIOS = 20  # for a mean with an error
RATIO_STATISTICS = (
    *("mean_bounded_ratio", "low", "high", "z_goe", "z_poisson"),
    *("ratio_distance", "ratio_p_value", "mean_ratio_p_value"),
)


@dataclass(frozen=True)
class Column:
    """One way to choose the covariance and what is added to the matrix; k''(0) varies in it."""

    name: str
    printed: bool = False
    k1: float = 0.0
    degenerate: int = 0
    outliers: int = 0
    outlier_scale: float = 1.0

    def sample(self, size: int, k2: float, rng: np.random.Generator) -> Array:
        return gaussian_process_hessian(
            size,
            rng,
            k2=k2,
            k1=self.k1,
            printed=self.printed,
            degenerate=self.degenerate,
            outliers=self.outliers,
            outlier_scale=self.outlier_scale,
        )

    def shift_variance(self, k2: float) -> float:
        """The variance c of the shift that all eigenvalues of a matrix have in common."""
        return self.k1**2 if self.printed else k2


def columns(settings: Mapping[str, Any]) -> list[Column]:
    """(17) as printed at each k'(0); corrected, which has no k'(0); with degeneracy or outliers."""
    outliers = settings["outliers"]
    return [
        *(Column(f"printed/{k1:g}", printed=True, k1=k1) for k1 in settings["k1"]),
        Column("corrected"),
        Column("degenerate", degenerate=settings["degenerate"]),
        *(
            Column(f"outliers/{scale:g}", outliers=outliers, outlier_scale=scale)
            for scale in settings["outlier_scales"]
        ),
    ]


def gaussian_process_study(
    settings: Mapping[str, Any],
    *,
    replicates: int,
    seed: int,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Every column at every k''(0), the round-off arms and the control, flat for HDF5.

    settings: the configuration's `gaussian_process`. `columns`, `k2` and `arms` list what there is.
    For each C = "column/place", place that in the list of k''(0): what `_case` says. For each arm
    A, those of `round_off_arms` and the control (independent levels of the semicircle): the
    `local_statistics`. agreement/: do all bulks together have the GOE's mean ratio?
    report: is told what is done.
    """
    size, samples, k2s = settings["size"], settings["samples"], settings["k2"]
    # One seed for all tests: the simulated GOE spectra are made once.
    tests = {"replicates": replicates, "seed": derive_seed(seed, "gaussian_process", "tests")}
    reference = _reference_distances(size, samples, derive_seed(seed, "gaussian_process", "goe"))
    cases: dict[str, dict[str, Any]] = {}
    degenerate: list[Array] = []
    for column, (place, k2) in product(columns(settings), enumerate(k2s)):
        rng = np.random.default_rng(derive_seed(seed, "gaussian_process", column.name, place))
        matrices = [column.sample(size, k2, rng) for _ in range(samples)]
        if column.degenerate:
            degenerate += matrices[: max(samples // len(k2s), 2)]
        values = np.stack([np.linalg.eigvalsh(matrix[:size, :size]) for matrix in matrices])
        name = f"{column.name}/{place}"
        cases[name] = _case(values, column, k2, reference, tests)
        report(f"{name}: mean bounded ratio {cases[name]['mean_bounded_ratio']:.4f}")

    arms, counts = round_off_arms(
        degenerate, settings["degenerate"], derive_seed(seed, "gaussian_process", "bases")
    )
    rng = np.random.default_rng(derive_seed(seed, "gaussian_process", CONTROL))
    law = gaussian_process_law(size, 1.0)
    arms[CONTROL] = [law.sample(size, rng) for _ in range(samples)]
    found = cases | {arm: local_statistics(spectra, **tests) for arm, spectra in arms.items()}
    return {
        **{f"{name}/{key}": value for name, of in found.items() for key, value in of.items()},
        **counts,
        **_agreement(cases),
        "columns": [column.name for column in columns(settings)],
        "k2": np.array(k2s),
        "arms": list(arms),
        "ratio_edges": RATIO_EDGES,
    }


def _case(
    values: Array, column: Column, k2: float, reference: Array, tests: dict[str, int]
) -> dict[str, Any]:
    """All that is said of one column at one k''(0).

    values (samples, size): eigenvalues without the degenerate zeros, which are known exactly. Kept
    as `eigenvalues`, beside `zeros` per matrix; edges, counts and expected (the law's share) of a
    histogram; `local_statistics` of the bulk, the outliers left out by their number. For plain
    matrices also trace_variance, trace_expected and trace_p_value (exact, chi-squared, against
    corrected (17)); law_distance and law_p_value (single matrices to the semicircle, Mann-Whitney
    against tridiagonal GOE matrices); spacing_distance and spacing_p_value. The last three are of
    spectra less their means: the common shift would blur the density that the pool knows.
    """
    bulk = values[:, : values.shape[1] - column.outliers]
    found = {
        "eigenvalues": values,
        "zeros": column.degenerate,
        **_density(values, column, k2),
        **local_statistics([*bulk], **tests),
    }
    if column.outliers or column.degenerate:
        return found
    centred = values - values.mean(axis=1, keepdims=True)
    spacings = spacing_agreement([*centred], replicates=tests["replicates"], seed=tests["seed"])
    return {
        **found,
        **_tests_of_the_law(values, k2, reference),
        "spacing_distance": spacings.statistic,
        "spacing_p_value": spacings.p_value,
    }


def bulk_law(size: int, k2: float, column: Column) -> Law:
    """The law given the shift: a semicircle, or its free convolution with the added diagonal.

    Of the diagonal, outliers / size has the law of outlier_scale (1 + z^2), on a grid of |z|, as
    the entries differ from matrix to matrix.
    """
    semicircle = gaussian_process_law(size, k2)
    if not column.outliers:
        return semicircle
    ends = np.linspace(0, FARTHEST, CELLS + 1)
    share = column.outliers / size
    raised = column.outlier_scale * (1 + ((ends[1:] + ends[:-1]) / 2) ** 2)
    weights = np.concatenate([[1 - share], share * 2 * np.diff(norm.cdf(ends))])
    positions = np.concatenate([[0.0], raised])
    return free_additive_convolution(semicircle, Atoms(positions, weights))


def local_statistics(spectra: Sequence[Array], *, replicates: int, seed: int) -> dict[str, Any]:
    """Mean bounded ratio with interval, agreement of the ratios with the GOE, and their histogram.

    Where there are too few ratios all are nan and the histogram is empty.
    """
    if sum(len(spectrum) - 2 for spectrum in spectra) < FEWEST_RATIOS:
        nothing = np.zeros(len(RATIO_EDGES) - 1, int)
        return dict.fromkeys(RATIO_STATISTICS, np.nan) | {"ratios": 0, "ratio_counts": nothing}
    mean = mean_bounded_ratio(spectra)
    distance, of_mean = ratio_agreement(spectra, replicates=replicates, seed=seed)
    values = (
        *(mean.mean, *mean.interval, mean.z_goe, mean.z_poisson),
        *(distance.statistic, distance.p_value, of_mean.p_value),
    )
    ratios = np.concatenate([spacing_ratios(spectrum) for spectrum in spectra])
    return {
        **dict(zip(RATIO_STATISTICS, values, strict=True)),
        "ratios": len(ratios),
        "ratio_counts": np.histogram(ratios, RATIO_EDGES)[0],
    }


def _density(values: Array, column: Column, k2: float) -> dict[str, Any]:
    """Counts of all matrices and the law's share in each bin, averaged over the common shift.

    With outliers the bins are even in arcsinh(2 x / radius): the bulk keeps its shape.
    """
    size = values.shape[1]
    law, spread = bulk_law(size, k2, column), column.shift_variance(k2) ** 0.5
    unit = gaussian_process_law(size, k2).radius / 2
    reach = 1.05 * (2 * unit + 3 * spread)
    if column.outliers:  # up to the 99 % quantile of what is added
        highest = reach + column.outlier_scale * (1 + norm.ppf(0.995) ** 2)
        edges = _arcsinh_spaced(-reach, highest, unit, EDGES)
    else:
        edges = np.linspace(-reach, reach, EDGES)
    grid = _arcsinh_spaced(law.support[0][0], law.support[-1][1], unit, 800)
    cdf = law.cdf(grid)
    shifts = spread * norm.ppf((np.arange(201) + 0.5) / 201)
    below = np.mean([np.interp(edges - shift, grid, cdf, 0, 1) for shift in shifts], axis=0)
    return {"edges": edges, "counts": np.histogram(values, edges)[0], "expected": np.diff(below)}


def _arcsinh_spaced(low: float, high: float, unit: float, points: int) -> Array:
    return unit * np.sinh(np.linspace(np.arcsinh(low / unit), np.arcsinh(high / unit), points))


def _tests_of_the_law(values: Array, k2: float, reference: Array) -> dict[str, float]:
    samples, size = values.shape
    traces = values.mean(axis=1)
    expected = k2 + 2 * k2 / size
    ratio = float(np.sum(traces**2)) / expected
    distances = _distances(values / k2**0.5)
    return {
        "trace_variance": float(np.mean(traces**2)),
        "trace_expected": expected,
        "trace_p_value": float(2 * min(chi2.cdf(ratio, samples), chi2.sf(ratio, samples))),
        "law_distance": float(distances.mean()),
        "law_p_value": float(mannwhitneyu(distances, reference).pvalue),
    }


def _reference_distances(size: int, samples: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    return _distances(np.stack([goe_eigenvalues(size, rng) for _ in range(samples)]))


def _distances(spectra: Array) -> Array:
    """sup |F_n - F| of each row, its mean taken away, from the semicircle of variance n."""
    size = spectra.shape[1]
    centred = np.sort(spectra - spectra.mean(axis=1, keepdims=True), axis=1)
    above = np.arange(1, size + 1) / size - Semicircle(size).cdf(centred.ravel()).reshape(
        spectra.shape
    )
    return np.maximum(above, 1 / size - above).max(axis=1)


def _agreement(cases: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """All cases together: their mean distance from the GOE and their scatter, in standard errors.

    With no more than chance, mean_z sqrt(cases) is standard normal and the sum of squares
    chi-squared, cases being independent.
    """
    z = np.array([case["z_goe"] for case in cases.values()])
    total = float(np.sum(z**2))
    return {
        "agreement/cases": len(z),
        "agreement/mean_z": float(z.mean()),
        "agreement/mean_z_p_value": float(2 * norm.sf(abs(z.mean()) * len(z) ** 0.5)),
        "agreement/chi_squared": total,
        "agreement/p_value": float(chi2.sf(total, len(z))),
    }
