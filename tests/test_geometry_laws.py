"""The Hessian's laws at critical points, the critical energy and the index (`geometry` 4, 6.3)."""

import numpy as np
import pytest
from numpy.polynomial import polynomial as poly
from scipy.stats import kstest, ttest_1samp

from hessian_rmt.errors import UserError
from hessian_rmt.geometry.agreement import extrapolated, mean_p_value
from hessian_rmt.geometry.critical_energy import (
    critical_energy,
    critical_energy_near_one,
    critical_energy_printed,
    critical_stieltjes,
    index_prefactor,
)
from hessian_rmt.geometry.densities import density_statistics, green_p_value
from hessian_rmt.geometry.exponent import fit_exponent, limiting_exponent
from hessian_rmt.geometry.index import index_by_integration, index_curve
from hessian_rmt.geometry.indices import index_statistics
from hessian_rmt.geometry.laws import (
    MODELS,
    cubic_density,
    gauss_newton_law,
    hessian_law,
    hessian_polynomial,
    polynomial_roots,
    residual_law,
)
from hessian_rmt.geometry.sampling import check_order, sample_spectra
from hessian_rmt.rmt.laws import Semicircle

RATIOS = (1 / 16, 0.25, 0.5, 0.75, 0.95)
models = pytest.mark.parametrize("model", MODELS)
ratios = pytest.mark.parametrize("ratio", RATIOS)


def inside(law, count=41):
    left, right = law.support[0]
    return left + (right - left) * np.linspace(0.01, 0.99, count)


# Laws ---------------------------------------------------------------------------------------------


@models
@ratios
@pytest.mark.parametrize("variance", [0.5, 1.0])
def test_stieltjes_transform_is_a_root_of_the_printed_polynomial(model, ratio, variance):
    """(18), (30): by another way than the polynomial, subordination; inside and off the support."""
    energy = 3 * float(critical_energy(ratio, model=model, variance=variance))
    law = hessian_law(energy, ratio, model=model, variance=variance)
    z = np.r_[inside(law), inside(law) + 0.5j, -5.0, 2j]
    g = law.stieltjes(z)
    coefficients = hessian_polynomial(z, energy, ratio, model=model, variance=variance)
    powers = g[:, None] ** np.arange(coefficients.shape[1])[::-1]
    terms = coefficients * powers
    assert np.max(np.abs(terms.sum(1)) / np.abs(terms).sum(1)) < 1e-11


@ratios
@pytest.mark.parametrize("energy", [0.05, 0.5, 2.0])
def test_cubic_and_subordination_give_one_density(ratio, energy):
    law = hessian_law(energy, ratio)
    np.testing.assert_allclose(
        cubic_density(inside(law), energy, ratio), law.density(inside(law)), rtol=1e-8
    )
    left, right = law.support[0]
    np.testing.assert_allclose(cubic_density([left - 0.1, right + 0.1], energy, ratio), 0)


@models
@ratios
def test_law_is_marchenko_pastur_at_small_energies(model, ratio):
    limit = gauss_newton_law(ratio)
    assert hessian_law(0.0, ratio, model=model) == limit
    for energy in (1e-4, 1e-6):
        law = hessian_law(energy * float(critical_energy(ratio, model=model)), ratio, model=model)
        # H_1's norm bounds the shift of every quantile (Weyl)
        shift = residual_law(
            energy * float(critical_energy(ratio, model=model)), ratio, model=model
        )
        q = np.linspace(0, 1, 9)
        assert np.max(np.abs(law.quantile(q) - limit.quantile(q))) <= shift.support[0][1]


@pytest.mark.parametrize("ratio", [0.25, 0.75])
def test_law_is_a_semicircle_at_large_energies(ratio):
    """The skewness dies out like energy^(-3/2), the mean like energy^(-1/2)."""
    for energy in (1e3, 1e5):
        law = hessian_law(energy, ratio)
        matched = Semicircle(law.variance, law.mean)
        x = np.linspace(-0.9, 0.9, 7) * matched.radius + matched.mean
        assert np.max(np.abs(law.cdf(x) - matched.cdf(x))) < energy**-1.5


@models
@pytest.mark.parametrize("ratio", [0.25, 0.6])
def test_moments_of_the_law_against_sampled_matrices(model, ratio):
    """Traces of powers 1 ... 4, extrapolated from two sizes, within their standard errors."""
    energy, variance, samples, powers = 0.4, 0.7, 60, np.arange(1, 5)
    rng = np.random.default_rng(1)
    spectra = sample_spectra(120, samples, energy, ratio, rng, model=model, variance=variance)
    draws = extrapolated(*(np.mean(x[..., None] ** powers, 1) for x in spectra))
    law = hessian_law(energy, ratio, model=model, variance=variance)
    expected = [law.expect(lambda x, k=k: x**k) for k in powers]
    score = (draws.mean(0) - expected) / (draws.std(0, ddof=1) / samples**0.5)
    assert np.max(np.abs(score)) < 4


@pytest.mark.parametrize(("ratio", "energy"), [(1 / 16, 50.0), (0.25, 50.0), (1.5, 1.0)])
def test_residual_law_is_that_of_products(ratio, energy):
    """(27): H_1 = [[0, A], [A^T, 0]], so +- the singular values of A = e x^T / m, m = 2 n / phi."""
    law = residual_law(energy, ratio)
    rng, half = np.random.default_rng(2), 240
    passed = round(half / ratio)
    e = (2 * energy) ** 0.5 * rng.standard_normal((half, passed))
    singular = np.linalg.svd(
        e @ rng.standard_normal((half, passed)).T / (2 * passed), compute_uv=False
    )
    zero = singular < 1e-10 * singular[0]
    atom = dict(law.atoms).get(0.0, 0.0)
    assert atom == pytest.approx(max(0, 1 - 1 / ratio))
    assert zero.mean() == pytest.approx(atom, abs=1 / half)
    # |eigenvalues| have the cdf 2 F - 1
    values = np.sort(singular[~zero])
    ranks = (zero.sum() + np.arange(len(values)) + 0.5) / half
    assert np.max(np.abs(2 * law.cdf(values) - 1 - ranks)) < 6 / half
    assert law.variance == pytest.approx(energy * ratio / 2)
    y = np.linspace(0.1, 0.9, 5) * law.gaps.high[0]
    printed = energy * ratio * y / (2 - energy * ratio**2 * y**2)
    np.testing.assert_allclose(law.r_transform(y), printed, rtol=1e-12)


# Critical energy ----------------------------------------------------------------------------------


@models
@ratios
@pytest.mark.parametrize("variance", [0.5, 1.0])
def test_discriminant_vanishes_at_the_critical_energy(model, ratio, variance):
    """(21), (32): two roots of (18), (30) at z = 0 meet in G_c; complex above, real below."""
    settings = {"model": model, "variance": variance}
    critical = float(critical_energy(ratio, **settings))
    double = float(critical_stieltjes(ratio, **settings))
    c = hessian_polynomial(0.0, critical, ratio, **settings)[-4:][::-1]
    size = np.abs(c) @ np.abs(double) ** np.arange(4)
    assert abs(poly.polyval(double, c)) < 1e-12 * size
    assert abs(double * poly.polyval(double, poly.polyder(c))) < 1e-12 * size

    def complex_pair(factor):
        row = hessian_polynomial(0.0, factor * critical, ratio, **settings)[-4:]
        return np.abs(polynomial_roots(row).imag).max() / abs(double)

    assert complex_pair(1 - 1e-4) == 0
    assert complex_pair(1 + 1e-4) > 1e-4


@models
@ratios
def test_left_edge_is_zero_at_the_critical_energy(model, ratio):
    critical = float(critical_energy(ratio, model=model, variance=0.5))
    law = hessian_law(critical, ratio, model=model, variance=0.5)
    assert law.support[0][0] == pytest.approx(0, abs=1e-13)


@models
def test_printed_forms_of_the_critical_energy(model):
    ratio = np.linspace(0.01, 0.8, 30)  # beyond, the printed forms cancel
    for variance in (0.5, 1.0):
        np.testing.assert_allclose(
            critical_energy(ratio, model=model, variance=variance),
            critical_energy_printed(ratio, model=model, variance=variance),
            rtol=1e-9,
        )
    gap = np.array([1e-3, 1e-4])
    exact = critical_energy(1 - gap, model=model) / critical_energy_near_one(1 - gap, model=model)
    assert np.all(np.abs(exact - 1) < 3 * gap)


def test_models_meet_near_one():
    """(33): for sigma = 1/2 the refined critical energy is that of the simplified model, (22)."""
    ratio = 1 - np.array([1e-3, 1e-4])
    quotient = critical_energy(ratio, model="refined", variance=0.5) / critical_energy(ratio)
    assert np.all(np.abs(quotient - 1) < 1 - ratio)
    assert np.all(quotient != 1)


# Index --------------------------------------------------------------------------------------------


@models
@ratios
@pytest.mark.parametrize("factor", [1.001, 1.5, 10.0, 100.0])
def test_index_by_three_ways(model, ratio, factor):
    """Closed form, integral of the density (19), logarithmic potential of the free sum."""
    critical = float(critical_energy(ratio, model=model, variance=0.5))
    energy = factor * critical
    law = hessian_law(energy, ratio, model=model, variance=0.5)
    index = index_curve(energy, ratio, model=model, variance=0.5).index
    assert index == pytest.approx(index_by_integration(law), abs=1e-10)
    assert index == pytest.approx(float(law.cdf(0.0)), abs=1e-12)


@models
@ratios
def test_index_is_zero_below_and_grows_above(model, ratio):
    critical = float(critical_energy(ratio, model=model))
    curve = index_curve(critical * np.array([0, 0.5, 1, 1.0001, 1.1, 5, 1e4]), ratio, model=model)
    np.testing.assert_array_equal(curve.index[:3], 0)
    assert np.all(np.diff(curve.index[2:]) > 0)
    assert curve.index[-1] < 0.5
    assert index_by_integration(hessian_law(0.9 * critical, ratio, model=model)) == 0


@models
@ratios
def test_exponent_and_prefactor(model, ratio):
    """(20), (31): index / (prefactor t^(3/2)) = 1 + O(t)."""
    t = np.array([1e-3, 1e-2])
    critical = float(critical_energy(ratio, model=model))
    curve = index_curve(critical * (1 + t), ratio, model=model)
    error = curve.index / curve.asymptotic - 1
    assert np.all(np.abs(error) < t)
    assert error[1] / error[0] == pytest.approx(10, rel=0.1)
    slope = np.diff(np.log(curve.index)) / np.diff(np.log(t))
    assert slope == pytest.approx(1.5, abs=5e-3)
    assert curve.prefactor == pytest.approx(float(index_prefactor(ratio, model=model)))


@models
def test_units(model):
    """Only energy / variance^2 matters: H -> c H."""
    energy = np.linspace(0, 3, 7)
    plain = index_curve(energy, 0.4, model=model)
    scaled = index_curve(4 * energy, 0.4, model=model, variance=2.0)
    np.testing.assert_allclose(scaled.index, plain.index, atol=1e-14)
    assert scaled.critical_energy == pytest.approx(4 * plain.critical_energy)


# Exponents ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [1.0, 1.5, 2.2])
@pytest.mark.parametrize("critical", [0.02, 3.0])
def test_planted_exponents_are_recovered(exponent, critical):
    t = np.geomspace(0.01, 1, 30)
    rng = np.random.default_rng(3)
    exact = 0.3 * t**exponent
    fit = fit_exponent(critical * (1 + t), exact, critical_energy=0.999 * critical)
    assert fit.exponent == pytest.approx(exponent, abs=1e-6)
    assert fit.critical_energy == pytest.approx(critical, rel=1e-6)
    assert fit.prefactor == pytest.approx(0.3, rel=1e-5)
    bent = exact * np.exp(0.4 * t - 0.1 * t**2)
    assert limiting_exponent(t, bent)[0] == pytest.approx(exponent, abs=1e-12)
    hits = 0
    for _ in range(100):
        noisy = exact * np.exp(0.02 * rng.standard_normal(len(t)))
        low, high = fit_exponent(critical * (1 + t), noisy, critical_energy=critical).interval
        hits += low < exponent < high
    assert hits > 85  # 95 expected; binomial, four standard deviations


@models
@ratios
def test_free_fits_tend_to_three_halves(model, ratio):
    critical = float(critical_energy(ratio, model=model))

    def departure(window):
        t = np.geomspace(window / 30, window, 40)
        curve = index_curve(critical * (1 + t), ratio, model=model)
        fit = fit_exponent(curve.energy, curve.index, critical_energy=critical)
        return 1.5 - fit.exponent, 1.5 - limiting_exponent(t, curve.index)[0]

    free, limits = np.transpose([departure(window) for window in (0.1, 0.01)])
    assert 0 < free[1] < 0.2 * free[0] < 0.02
    assert abs(limits[1]) < 1e-6


# Tests on sampled matrices ------------------------------------------------------------------------


def test_mean_p_value():
    """Student's test for one number, uniform for true means, small for false ones."""
    rng = np.random.default_rng(4)
    x = rng.standard_normal((12, 1)) + 0.3
    assert mean_p_value(x, [0.0]) == pytest.approx(float(ttest_1samp(x[:, 0], 0).pvalue))
    mix = rng.standard_normal((4, 4))
    draws = rng.standard_normal((400, 15, 4)) @ mix + 2
    assert kstest([mean_p_value(d, np.full(4, 2)) for d in draws], "uniform").pvalue > 1e-3
    assert mean_p_value(draws[0], 2 + 2 * mix[0]) < 1e-3
    with pytest.raises(ValueError, match="more draws"):
        mean_p_value(draws[0][:4], np.full(4, 2))


def test_extrapolation_removes_the_first_order():
    """E tr W^2 / N = 1 + phi + phi / N for real Wishart W: 2 T_N - T_(N/2) has mean 1 + phi."""
    large, small = sample_spectra(48, 400, 0.0, 0.5, np.random.default_rng(5))
    draws = extrapolated(np.mean(large**2, 1), np.mean(small**2, 1))
    plain = np.mean(large**2, 1)
    for values, expected in ((draws, 1.5), (plain, 1.5 + 0.5 / 48)):
        assert abs(values.mean() - expected) < 4 * values.std() / 20


def test_density_p_values_are_calibrated():
    rng, law = np.random.default_rng(6), hessian_law(0.1, 0.5)
    p = [green_p_value(*sample_spectra(48, 16, 0.1, 0.5, rng), law) for _ in range(60)]
    assert kstest(p, "uniform").pvalue > 1e-3


def test_density_statistics_and_their_controls():
    settings = {"size": 144, "samples": 40, "ratios": [0.25, 0.75], "energies": [0.0, 0.3]}
    found = density_statistics(**settings, seed=1)
    assert found["eigenvalues"].shape == (2, 2, 40, 144)
    assert found["p_value"].min() > 1e-3
    assert found["distance"].max() < 2 / 144  # two eigenvalues
    assert found["p_value_wrong_energy"].max() < 1e-3
    assert np.all(np.isnan(found["p_value_commuting"][:, 0]))
    assert found["p_value_commuting"][:, 1].max() < 1e-3
    mass = np.trapezoid(found["density"], found["grid"], axis=-1)
    np.testing.assert_allclose(mass, 1, atol=2e-3)
    again = density_statistics(**settings | {"ratios": [0.75]}, seed=1)
    np.testing.assert_array_equal(again["eigenvalues"][0], found["eigenvalues"][1])


def test_index_statistics_and_their_control():
    found = index_statistics(240, 60, [0.25], [5, 20], 0.5, seed=1)
    assert found["index"].shape == (2, 1, 141)
    assert found["integration_error"].max() < 1e-10
    assert found["p_value"].min() > 1e-3
    assert found["p_value_wrong_energy"].max() < 1e-6
    low, high = np.moveaxis(found["limiting_exponent_interval"], -1, 0)
    assert np.all((low < 1.5) & (high > 1.5) & (high - low < 1e-3))
    np.testing.assert_allclose(
        found["critical_curve"][:, :60], found["critical_curve_printed"][:, :60], rtol=1e-9
    )


def test_refusals():
    for ratio in (0.0, 1.0, -0.5):
        with pytest.raises(ValueError, match="phi"):
            critical_energy(ratio)
    with pytest.raises(ValueError, match="energy"):
        index_curve([-0.1], 0.5)
    with pytest.raises(ValueError, match="positive"):
        residual_law(0.0, 0.5)
    with pytest.raises(ValueError, match="model"):
        hessian_law(0.1, 0.5, model="other")
    with pytest.raises(UserError, match="whole"):
        check_order(40, 0.75)
    check_order(60, 0.75)
