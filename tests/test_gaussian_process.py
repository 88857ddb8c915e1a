"""Gaussian-process Hessians: (17) from the kernel itself, spectra, local statistics, round-off."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.stats import kstest

from hessian_rmt.config import check_config
from hessian_rmt.errors import UserError
from hessian_rmt.rmt import gaussian_process
from hessian_rmt.rmt.ensembles import gaussian_process_hessian, gaussian_process_law, goe
from hessian_rmt.rmt.gaussian_process import (
    CONTROL,
    Column,
    bulk_law,
    columns,
    gaussian_process_study,
    local_statistics,
)
from hessian_rmt.rmt.local_tests import mean_bounded_ratio, spacing_agreement
from hessian_rmt.rmt.round_off import PLACEMENTS, round_off_arms

SETTINGS = {
    "size": 80,
    "samples": 20,
    "k1": [0.0, 1.0],
    "k2": [1e-3, 1.0],
    "degenerate": 60,
    "outliers": 6,
    "outlier_scales": [5.0],
}
# k(t) for covariances k(-|w - w'|^2 / 2), each with k'(0) and k''(0)
KERNELS = {
    "squared exponential": (lambda t: np.exp(t), 1.0, 1.0),
    "scaled": (lambda t: 3 * np.exp(0.5 * t), 1.5, 0.75),
    "rational quadratic": (lambda t: (1 - t / 2) ** -2.0, 1.0, 1.5),
    "mixture": (lambda t: 0.2 * np.exp(2 * t) + 0.8 * np.exp(0.1 * t), 0.48, 0.808),
}
SOME_INDICES = [
    *((0, 0, 0, 0), (0, 0, 1, 1), (0, 1, 0, 1), (0, 1, 1, 0), (0, 1, 2, 2), (0, 0, 0, 1)),
    *((0, 1, 0, 2), (1, 1, 1, 1)),
]


@pytest.fixture(scope="module")
def study():
    return gaussian_process_study(SETTINGS, replicates=39, seed=5)


def spectra(count, size, seed, **options):
    rng = np.random.default_rng(seed)
    options = {"k2": 1.0} | options
    return np.stack(
        [np.linalg.eigvalsh(gaussian_process_hessian(size, rng, **options)) for _ in range(count)]
    )


# The covariance (17) ------------------------------------------------------------------------------


def kernel_derivative(kernel, left, right, step):
    """d / dw_left d / dw'_right of k at w = w' = 0, by central differences in each index."""
    total = 0.0
    for signs in product((-1, 1), repeat=len(left) + len(right)):
        w, other = np.zeros(3), np.zeros(3)
        for index, sign in zip(left, signs[: len(left)], strict=True):
            w[index] += sign * step
        for index, sign in zip(right, signs[len(left) :], strict=True):
            other[index] += sign * step
        total += np.prod(signs) * kernel(-np.sum((w - other) ** 2) / 2)
    return total / (2 * step) ** (len(left) + len(right))


def extrapolated(kernel, left, right):
    """The differences' error is even in the step: two steps remove its square."""
    coarse, fine = (kernel_derivative(kernel, left, right, step) for step in (0.04, 0.02))
    return (4 * fine - coarse) / 3


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("indices", SOME_INDICES)
def test_covariance_of_second_derivatives_by_differentiating_the_kernel(name, indices):
    kernel, _, k2 = KERNELS[name]
    i, j, k, m = indices
    pairs = (i == j) * (k == m) + (i == k) * (j == m) + (i == m) * (j == k)
    assert extrapolated(kernel, (i, j), (k, m)) == pytest.approx(k2 * pairs, abs=2e-4)


@pytest.mark.parametrize("name", KERNELS)
def test_printed_form_holds_only_where_the_second_derivative_is_the_first_squared(name):
    kernel, k1, k2 = KERNELS[name]
    assert extrapolated(kernel, (0,), (0,)) == pytest.approx(k1, abs=1e-5)  # (16)
    common = extrapolated(kernel, (0, 0), (1, 1))
    assert (abs(common - k1**2) < 1e-3) == (name == "squared exponential")
    assert k1**2 <= k2 * kernel(0.0) * (1 + 1e-12), "Cauchy-Schwarz of the spectral measure"


@pytest.mark.parametrize("name", ["rational quadratic", "mixture"])
def test_sampled_matrices_have_the_kernels_covariance(name):
    kernel, k1, k2 = KERNELS[name]
    rng, draws = np.random.default_rng(1), 20000
    sampled = np.array([gaussian_process_hessian(3, rng, k1=k1, k2=k2) for _ in range(draws)])
    for i, j, k, m in SOME_INDICES:
        products = sampled[:, i, j] * sampled[:, k, m]
        error = products.std() / draws**0.5
        assert abs(products.mean() - extrapolated(kernel, (i, j), (k, m))) < 4.5 * error + 2e-4


# Spectra ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k2", [1e-4, 1.0, 10.0])
@pytest.mark.parametrize("printed", [False, True])
def test_a_spectrum_is_a_scaled_goe_spectrum_and_a_shift(k2, printed):
    n = 60
    values = np.linalg.eigvalsh(
        gaussian_process_hessian(n, np.random.default_rng(2), k2=k2, k1=2.0, printed=printed)
    )
    rng = np.random.default_rng(2)
    reference = (2 * n * k2) ** 0.5 * np.linalg.eigvalsh(goe(n, rng))
    shift = (2.0 if printed else k2**0.5) * rng.standard_normal()
    np.testing.assert_allclose(values, reference + shift, atol=1e-12 * np.abs(values).max())


def test_spacings_know_nothing_of_the_first_derivative():
    alone, shifted = (spectra(3, 50, 3, k2=0.1, k1=k1, printed=True) for k1 in (0.0, 100.0))
    assert np.abs(alone - shifted).min() > 1
    np.testing.assert_allclose(np.diff(alone), np.diff(shifted), atol=1e-11)


def test_every_covariance_of_the_study_is_there():
    names = [column.name for column in columns(SETTINGS)]
    assert names == ["printed/0", "printed/1", "corrected", "degenerate", "outliers/5"]


@pytest.mark.parametrize("place", [0, 1])
def test_trace_tells_the_printed_from_the_corrected_covariance(study, place):
    assert study[f"corrected/{place}/trace_p_value"] > 1e-3
    assert study[f"printed/0/{place}/trace_p_value"] < 1e-6, "no common term at all"
    rejected = study[f"printed/1/{place}/trace_p_value"] < 1e-6
    assert rejected == (SETTINGS["k2"][place] != 1.0), "the two agree where k'(0)^2 = k''(0)"


@pytest.mark.parametrize("column", columns(SETTINGS), ids=lambda column: column.name)
@pytest.mark.parametrize("place", [0, 1])
def test_densities_follow_their_laws(study, column, place):
    case = f"{column.name}/{place}"
    counts, expected, values = (
        study[f"{case}/{key}"] for key in ("counts", "expected", "eigenvalues")
    )
    assert study[f"{case}/zeros"] == column.degenerate
    assert expected.sum() == pytest.approx(1, abs=2e-3)
    measured = np.cumsum(counts) / values.size
    # the mean of the matrices' shifts moves the pooled distribution by it times the peak density
    spread = column.shift_variance(SETTINGS["k2"][place]) ** 0.5
    peak = 1 / (np.pi * (SETTINGS["size"] * SETTINGS["k2"][place]) ** 0.5)
    moved = 3 * min(spread * peak, 0.5) / SETTINGS["samples"] ** 0.5
    assert np.abs(measured - np.cumsum(expected)).max() < 0.012 + moved
    if not (column.printed or column.outliers):
        half = bulk_law(SETTINGS["size"], SETTINGS["k2"][place] / 4, column)
        wrong = np.diff(half.cdf(study[f"{case}/edges"]))
        assert np.abs(measured - np.cumsum(wrong)).max() > 0.1


@pytest.mark.parametrize("k2", [1e-3, 0.1, 1.0])
def test_law_with_outliers_counts_them(k2):
    """Above the threshold an added theta makes an outlier near theta + variance / theta."""
    n, m, scale = 300, 20, 10.0
    column = Column("", outliers=m, outlier_scale=scale)
    values = spectra(30, n, 4, k2=k2, outliers=m, outlier_scale=scale)
    edge = 1.15 * gaussian_process_law(n, k2).radius
    expected = n * (1 - float(bulk_law(n, k2, column).cdf(edge)))
    found = (values > edge).sum(axis=1)
    assert abs(found.mean() - expected) < 4 * (found.std() + 0.2) / 30**0.5
    if k2 == 1e-3:
        assert np.all(found == m)


def test_law_p_values_reject_another_shape(study):
    assert study["corrected/0/law_p_value"] > 1e-3
    assert study["corrected/1/law_p_value"] > 1e-3
    rng = np.random.default_rng(6)
    uniform = rng.uniform(-1, 1, (20, 80)) * 3**0.5 * 80**0.5
    reference = gaussian_process._reference_distances(80, 20, 0)
    assert gaussian_process._tests_of_the_law(uniform, 1.0, reference)["law_p_value"] < 1e-4


# Local statistics ---------------------------------------------------------------------------------


def test_bulks_agree_with_the_goe_and_independent_levels_do_not(study):
    assert study["agreement/cases"] == 10
    assert study["agreement/p_value"] > 1e-3
    assert study["agreement/mean_z_p_value"] > 1e-3
    assert study[f"{CONTROL}/ratio_p_value"] == 1 / 40
    assert study[f"{CONTROL}/mean_ratio_p_value"] == 2 / 40
    assert study[f"{CONTROL}/z_goe"] < -15
    assert abs(study[f"{CONTROL}/z_poisson"]) < 4


def test_p_values_of_the_bulk_are_uniform():
    ratios, means, spacings = [], [], []
    for seed in range(24):
        values = spectra(20, 80, seed, k2=0.1)
        found = local_statistics([*values], replicates=39, seed=0)
        ratios.append(found["ratio_p_value"])
        means.append(found["mean_ratio_p_value"])
        centred = values - values.mean(axis=1, keepdims=True)
        spacings.append(spacing_agreement([*centred], replicates=39, seed=0).p_value)
    for p_values in (ratios, means, spacings):
        assert kstest(p_values, "uniform").pvalue > 1e-3
        assert np.mean(np.array(p_values) <= 0.1) < 0.35


def test_a_common_shift_spoils_unfolding_by_a_pool_but_not_ratios():
    values = spectra(40, 150, 7, k2=1e-4, k1=1.0, printed=True)
    assert spacing_agreement([*values], replicates=39, seed=0).p_value == 1 / 40
    centred = values - values.mean(axis=1, keepdims=True)
    assert spacing_agreement([*centred], replicates=39, seed=0).p_value > 1 / 40
    assert abs(mean_bounded_ratio([*values]).z_goe) < 4


def test_outliers_are_left_out_by_their_number(study):
    size, outliers, samples = (SETTINGS[key] for key in ("size", "outliers", "samples"))
    assert study["outliers/5/0/ratios"] == samples * (size - outliers - 2)
    assert study["degenerate/0/ratios"] == samples * (size - 2)
    with_them = local_statistics([*study["outliers/5/0/eigenvalues"]], replicates=19, seed=0)
    assert with_them["ratios"] == samples * (size - 2)


def test_too_few_levels_are_no_statistics():
    nothing = local_statistics([], replicates=19, seed=0)
    assert nothing["ratios"] == 0
    assert np.isnan(nothing["mean_bounded_ratio"])


# Round-off ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def padded():
    rng = np.random.default_rng(8)
    return [gaussian_process_hessian(100, rng, k2=1.0, degenerate=100) for _ in range(40)]


def test_the_cut_keeps_round_off_unless_zeros_are_padding(padded):
    _, counts = round_off_arms(padded, 100, 0)
    for placement in PLACEMENTS:
        of = {key: counts[f"{placement}/{key}"] for key in ("kept", "round_off_kept", "share")}
        assert of["kept"] == pytest.approx(100 + of["round_off_kept"])
        assert of["share"] == pytest.approx(of["round_off_kept"] / of["kept"])
        assert counts[f"{placement}/largest"] < 100 * 200 * np.finfo(float).eps
        assert counts[f"{placement}/smallest_signal"] > 1e3 * counts[f"{placement}/largest"]
    assert counts["padded/round_off_kept"] == 0
    assert counts["padded/exact_zeros"] == 100
    assert counts["permuted/round_off_kept"] > 50
    assert counts["rotated/round_off_kept"] > 99


def test_placements_leave_the_signal_as_it_is(padded):
    arms, _ = round_off_arms(padded[:3], 100, 0)
    for i, matrix in enumerate(padded[:3]):
        exact = np.linalg.eigvalsh(matrix[:100, :100])
        for placement in PLACEMENTS:
            found = np.concatenate(arms[f"{placement}/cut"][2 * i : 2 * i + 2])
            signal = found[np.abs(found) > 1e-10]
            np.testing.assert_allclose(signal, exact, atol=1e-12 * np.abs(exact).max())


def test_round_off_repels_like_a_signal(padded):
    """So agreement with the GOE is no evidence while it is counted."""
    arms, _ = round_off_arms(padded, 100, 0)
    for placement in ("permuted", "rotated"):
        ratio = mean_bounded_ratio(arms[f"{placement}/round_off"])
        assert ratio.z_poisson > 10
        assert abs(ratio.mean - 0.5307) < 0.03
    assert not arms["padded/round_off"]


# Configuration ------------------------------------------------------------------------------------

CONFIG = Path(__file__).parents[1] / "config.yaml"


def test_settings_have_the_papers_as_defaults_and_leave_a_bulk():
    config = yaml.safe_load(CONFIG.read_text())
    written = check_config(config)["gaussian_process"]
    del config["gaussian_process"]
    assert check_config(config)["gaussian_process"] == written
    config["gaussian_process"] = {"size": 40, "outliers": 21}
    with pytest.raises(UserError, match=r"gaussian_process.outliers is 21.* at most 20"):
        check_config(config)
