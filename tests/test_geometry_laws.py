"""The Hessian's laws at critical points, the critical energy and the index (`geometry` 4, 6.3)."""

import numpy as np
import pytest
from numpy.polynomial import polynomial as poly

from hessian_rmt.geometry.critical_energy import (
    critical_energy,
    critical_energy_near_one,
    critical_energy_printed,
    critical_stieltjes,
    index_prefactor,
)
from hessian_rmt.geometry.index import index_by_integration, index_curve
from hessian_rmt.geometry.laws import (
    MODELS,
    cubic_density,
    gauss_newton_law,
    hessian_law,
    hessian_polynomial,
    polynomial_roots,
    residual_law,
    sample_hessian,
    sampled_ratio,
)
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
    size, samples, energy, variance = 120, 60, 0.4, 0.7
    powers = np.arange(1, 5)
    rng = np.random.default_rng(1)

    def moments(n):
        matrix = sample_hessian(n, energy, ratio, rng, model=model, variance=variance)
        return np.mean(np.linalg.eigvalsh(matrix)[:, None] ** powers, 0)

    assert sampled_ratio(size, ratio) == sampled_ratio(size // 2, ratio) == pytest.approx(ratio)
    draws = np.array([2 * moments(size) - moments(size // 2) for _ in range(samples)])
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
    with pytest.raises(ValueError, match="whole"):
        sampled_ratio(50, 0.3)
