"""Local laws, unfolding, ratios, long-range statistics and their calibrated tests."""

import numpy as np
import pytest
from numpy.polynomial.legendre import leggauss
from scipy.integrate import quad
from scipy.special import sici
from scipy.stats import ks_2samp, kstest

from hessian_rmt import rmt
from hessian_rmt.errors import UserError
from hessian_rmt.rmt import local_laws, local_tests, spacings
from hessian_rmt.rmt.local_laws import goe_gap
from hessian_rmt.rmt.local_statistics import SIGNAL, local_statistics
from hessian_rmt.rmt.local_tests import goe_eigenvalues, semicircle_counting
from hessian_rmt.rmt.rigidity_statistics import (
    LENGTHS,
    largest_deviation_p_value,
    rigidity_statistics,
)

LAWS = {
    name: getattr(rmt, name)
    for name in (
        "goe_spacing",
        "wigner_surmise",
        "poisson_spacing",
        "ratio_surmise",
        "bounded_ratio_surmise",
        "poisson_ratio",
        "bounded_poisson_ratio",
    )
}
every_law = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())


@pytest.fixture(scope="module")
def goe_matrices():
    """120 spectra of GOE matrices of size 200 by the tridiagonal model."""
    rng = np.random.default_rng(1)
    return [goe_eigenvalues(200, rng) for _ in range(120)]


@pytest.fixture(scope="module")
def goe_levels(goe_matrices):
    """The same unfolded by the semicircle, without ten levels at either end."""
    return [semicircle_counting(x, 200)[10:-10] for x in goe_matrices]


def expectation(law, f):
    """The mean of f under a law, by Gauss-Legendre in pieces."""
    upper = 1.0 if law.upper == 1 else 60.0
    t, w = leggauss(20)
    edges = np.linspace(0, upper, 401)
    width = edges[1] - edges[0]
    x = (edges[:-1, None] + 0.5 * width * (t + 1)).ravel()
    return np.tile(0.5 * width * w, 400) @ (law.density(x) * f(x))


# Laws --------------------------------------------------------------------------------------------


@every_law
def test_density_integrates_to_the_distribution(law):
    upper = min(law.upper, 60.0)
    np.testing.assert_allclose(expectation(law, np.ones_like), law.cdf(upper), atol=1e-13)
    for x in (0.1, 0.5, 0.9, 3.0):
        integral = quad(lambda t: float(law.density(t)), 0, min(x, law.upper), epsabs=1e-13)[0]
        np.testing.assert_allclose(law.cdf(x), integral, atol=1e-12)


@every_law
def test_the_mean_is_the_one_stated(law):
    if law.mean == 1 or law.upper == 1:
        np.testing.assert_allclose(expectation(law, lambda x: x), law.mean, atol=1e-12)
    elif np.isfinite(law.mean):  # by parts, as the tail is heavy
        np.testing.assert_allclose(quad(lambda x: 1 - law.cdf(x), 0, np.inf)[0], law.mean, 1e-8)


@every_law
def test_quantile_inverts_cdf(law):
    q = np.concatenate([np.geomspace(1e-9, 0.1, 100), np.linspace(0.1, 0.9999, 400)])
    np.testing.assert_allclose(law.cdf(law.quantile(q)), q, rtol=1e-6, atol=1e-14)
    np.testing.assert_array_equal(law.quantile([0, 1, 1.5]), [0, law.upper, np.nan])
    np.testing.assert_allclose(law.cdf([-1, 0, np.inf]), [0, 0, 1], atol=1e-15)
    np.testing.assert_array_equal(law.density([-1, np.inf]), [0, 0])


@every_law
def test_sample_follows_the_law(law):
    assert kstest(law.sample(5000, np.random.default_rng(0)), law.cdf).pvalue > 0.01


def test_known_constants():
    assert expectation(rmt.goe_spacing, lambda s: s**2) == pytest.approx(1.28553, abs=5e-6)
    assert expectation(rmt.wigner_surmise, lambda s: s**2) == pytest.approx(4 / np.pi, abs=1e-12)
    slope = rmt.goe_spacing.density(1e-4) / 1e-4
    np.testing.assert_allclose(slope, np.pi**2 / 6, rtol=1e-7)
    s = np.linspace(0, 6, 6001)
    largest = np.max(np.abs(rmt.goe_spacing.cdf(s) - rmt.wigner_surmise.cdf(s)))
    assert largest == pytest.approx(0.0066, abs=5e-5)
    np.testing.assert_allclose(rmt.ratio_surmise.cdf(10), 0.98484, atol=5e-6)
    assert rmt.bounded_ratio_surmise.mean == pytest.approx(0.5359, abs=5e-5)
    assert rmt.bounded_poisson_ratio.mean == pytest.approx(0.3863, abs=5e-5)


def test_the_determinant_has_converged_and_the_table_keeps_it():
    s = np.linspace(0, 8, 333)
    fine = goe_gap(s, 60)
    for nodes in (16, local_laws.NODES):
        np.testing.assert_allclose(goe_gap(s, nodes), fine, atol=1e-14)
    np.testing.assert_allclose(rmt.goe_spacing.cdf(s), fine[1], atol=2e-13)
    np.testing.assert_allclose(rmt.goe_spacing.density(s), fine[2], atol=2e-13)


def test_gap_probability_against_its_expansion():
    """Mehta's series of p; and R_2 = 1 - Y, which differs by p(1; s), a level in between."""
    s = np.array([0.01, 0.02, 0.04])
    empty, _, density = goe_gap(s)
    series = np.pi**2 / 6 * s - np.pi**4 / 60 * s**3 + np.pi**4 / 270 * s**4
    np.testing.assert_allclose(density - series, np.pi**6 / 1680 * s**5, rtol=0.02)
    np.testing.assert_allclose(empty, 1 - s + np.pi**2 / 36 * s**3, atol=0.1 * s[-1] ** 5)
    between = 1 - cluster_function(s) - density
    np.testing.assert_allclose(between, np.pi**4 / 270 * s**4, rtol=2e-3)


def test_gap_probability_is_the_integral_of_its_derivatives():
    t, w = leggauss(40)
    for s in (0.5, 1.5, 3.0):
        x = 0.5 * s * (t + 1)
        np.testing.assert_allclose(0.5 * s * w @ (goe_gap(x)[1] - 1), goe_gap(s)[0] - 1, atol=1e-14)
        np.testing.assert_allclose(0.5 * s * w @ goe_gap(x)[2], goe_gap(s)[1], atol=1e-14)


def test_two_by_two_goe_has_the_wigner_surmise():
    x = np.random.default_rng(0).standard_normal((4000, 3))
    matrices = np.stack([np.sqrt(2) * x[:, 0], x[:, 1], x[:, 1], np.sqrt(2) * x[:, 2]], 1)
    gaps = np.diff(np.linalg.eigvalsh(matrices.reshape(-1, 2, 2)))[:, 0]
    scaled = gaps / np.sqrt(2 * np.pi)
    assert kstest(scaled, rmt.wigner_surmise.cdf).pvalue > 0.01
    sampled = [np.diff(goe_eigenvalues(2, np.random.default_rng(i)))[0] for i in range(2000)]
    assert kstest(sampled / np.sqrt(2 * np.pi), rmt.wigner_surmise.cdf).pvalue > 0.01


def test_large_goe_has_the_exact_law_and_not_the_surmise():
    # dependence makes the distance smaller than for independent spacings, 1.36 / sqrt n at 5 %
    spacings = local_tests._simulated_spacings(1024, 0).ravel()
    limit = 1.36 / np.sqrt(len(spacings))
    assert local_tests._distance(spacings, rmt.goe_spacing) < limit
    assert local_tests._distance(spacings, rmt.wigner_surmise) > 1.5 * limit


def test_three_by_three_goe_has_the_ratio_surmise():
    rng = np.random.default_rng(0)
    ratios = [rmt.spacing_ratios(goe_eigenvalues(3, rng))[0] for _ in range(3000)]
    assert kstest(ratios, rmt.ratio_surmise.cdf).pvalue > 0.01
    assert kstest(ratios, rmt.poisson_ratio.cdf).pvalue < 1e-6


def test_ratio_of_exponentials_has_poissons_law():
    a, b = np.random.default_rng(0).exponential(size=(2, 5000))
    assert kstest(a / b, rmt.poisson_ratio.cdf).pvalue > 0.01
    assert kstest(np.minimum(a / b, b / a), rmt.bounded_poisson_ratio.cdf).pvalue > 0.01


# Unfolding and ratios ----------------------------------------------------------------------------


def test_tridiagonal_model_has_the_moments_of_a_dense_goe():
    rng = np.random.default_rng(0)
    n, draws = 12, 4000
    tridiagonal = np.stack([goe_eigenvalues(n, rng) for _ in range(draws)])
    dense = rng.standard_normal((draws, n, n))
    dense = np.linalg.eigvalsh((dense + dense.mT) / np.sqrt(2))
    error = dense.std(0) * np.sqrt(2 / draws)
    assert np.all(np.abs(tridiagonal.mean(0) - dense.mean(0)) < 4 * error)
    np.testing.assert_allclose((tridiagonal**2).sum(1).mean(), n * (n + 1), rtol=0.02)


def test_goe_unfolded_by_a_pool_has_mean_spacing_one(goe_matrices):
    unfolding = rmt.unfold(goe_matrices, seed=3)
    assert (len(unfolding.pool), len(unfolding.held)) == (80, 40)
    assert sorted(unfolding.pool + unfolding.held) == list(range(120))
    assert unfolding.spacings.mean() == pytest.approx(1, abs=0.01)
    multiples = unfolding.spacings / unfolding.step
    np.testing.assert_allclose(multiples, multiples.round(), atol=1e-9)
    np.testing.assert_array_equal(np.unique(unfolding.matrices), unfolding.held)


def test_pool_unfolding_is_the_counting_function_of_the_pool():
    rng = np.random.default_rng(0)
    spectra = [rng.standard_normal(n) for n in (5, 8, 13, 4, 9)]
    unfolding = rmt.unfold(spectra, pool_fraction=0.6, seed=1)
    pool = np.concatenate([spectra[i] for i in unfolding.pool])
    for i, levels in zip(unfolding.held, unfolding.levels, strict=True):
        below = [np.sum(pool < x) / 3 for x in np.sort(spectra[i])]
        np.testing.assert_allclose(levels, below)
    mapped = rmt.unfold([np.exp(3 * x) for x in spectra], pool_fraction=0.6, seed=1)
    np.testing.assert_array_equal(mapped.spacings, unfolding.spacings)


def test_ratios_equal_brute_force():
    x = np.random.default_rng(0).standard_normal(50)
    ordered = sorted(x)
    expected = [
        (ordered[i] - ordered[i - 1]) / (ordered[i - 1] - ordered[i - 2]) for i in range(2, 50)
    ]
    np.testing.assert_allclose(rmt.spacing_ratios(x), expected)
    bounded = np.minimum(expected, 1 / np.array(expected))
    np.testing.assert_allclose(rmt.spacing_ratios(x, bounded=True), bounded)


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("lengths", [[9], [3, 3], [3, 12, 4, 30], [20, 3]])
def test_ratios_end_to_end_are_those_of_each_spectrum(lengths, bounded):
    """No ratio has a spacing from one spectrum to the next, and none is lost; ties included."""
    rng = np.random.default_rng(0)
    spectra = [np.sort(rng.integers(-9, 9, n) / 7 + (n > 3) * rng.random(n)) for n in lengths]
    together = spacings.end_to_end_ratios(spectra, bounded=bounded)
    each = [rmt.spacing_ratios(x, bounded=bounded) for x in spectra]
    np.testing.assert_array_equal(together, np.concatenate(each))


@pytest.mark.parametrize("bounded", [False, True])
def test_ratios_are_invariant_under_affine_maps(bounded):
    x = np.random.default_rng(0).standard_normal(50)
    ratios = rmt.spacing_ratios(x, bounded=bounded)
    np.testing.assert_allclose(rmt.spacing_ratios(7 * x + 3, bounded=bounded), ratios, rtol=1e-9)
    reflected = rmt.spacing_ratios(-x, bounded=bounded)[::-1]
    np.testing.assert_allclose(reflected, ratios if bounded else 1 / ratios)


def test_ties_are_counted_and_leave_no_nan():
    x = [0.0, 0.0, 0.0, 1.0, 3.0, 3.0, 4.0]
    assert rmt.count_ties(x) == 3
    np.testing.assert_array_equal(rmt.spacing_ratios(x), [np.inf, 2, 0, np.inf])
    np.testing.assert_array_equal(rmt.spacing_ratios(x, bounded=True), [0, 0.5, 0, 0])
    spectra = [
        np.concatenate([np.zeros(30), goe]) for goe in np.random.default_rng(0).random((9, 30))
    ]
    agreement = rmt.ratio_agreement(spectra, replicates=19)
    assert agreement.distance.ties == 9 * 29
    assert np.isfinite(agreement.distance.null).all()
    assert np.isfinite(rmt.unfold_smooth(spectra[0])).all()


@pytest.mark.parametrize("stretch", [0, 2])
def test_smooth_unfolding_recovers_known_levels(goe_levels, stretch):
    """Whatever the density, spacings and rigidity are those of the levels beneath."""
    squares, rigidities = [], []
    for levels in goe_levels:
        eigenvalues = np.sinh(stretch * levels / 100) if stretch else levels
        unfolded = rmt.unfold_smooth(eigenvalues)[10:-10]
        assert np.all(np.diff(unfolded) > 0)
        squares.append((np.diff(unfolded) ** 2).mean() - (np.diff(levels[10:-10]) ** 2).mean())
        rigidities.append(rmt.delta3(unfolded, 8) - rmt.delta3(levels[10:-10], 8))
    assert abs(np.mean(squares)) < 0.01
    assert abs(np.mean(rigidities)) < 0.005


def test_the_staircase_and_its_inverse_agree():
    x = np.sort(np.random.default_rng(0).standard_cauchy(500))
    counting, quantile = rmt.smooth_staircase(x)
    assert counting(x[0]) == pytest.approx(0.5)
    assert counting(x[-1]) == pytest.approx(499.5)
    position = np.linspace(0.5, 499.5, 997)
    assert np.all(np.diff(quantile(position)) > 0)
    np.testing.assert_allclose(counting(quantile(position)), position, atol=6)


# Longer intervals --------------------------------------------------------------------------------


def cluster_function(r):
    s = np.sinc(r)
    return s**2 + (np.cos(np.pi * r) - s) / r * (0.5 - sici(np.pi * r)[0] / np.pi)


@pytest.mark.parametrize("length", [0.01, 0.5, 1.0, 7.3, 20.0])
def test_references_are_their_integrals(length):
    def integral(f):
        return quad(f, 0, length, epsabs=1e-12, limit=400)[0]

    variance = length - 2 * integral(lambda r: (length - r) * cluster_function(r))
    np.testing.assert_allclose(rmt.goe_number_variance(length), variance, atol=1e-11)
    rigidity = integral(
        lambda r: (length**3 - 2 * length**2 * r + r**3) * rmt.goe_number_variance(r)
    )
    np.testing.assert_allclose(rmt.goe_delta3(length), 2 / length**4 * rigidity, atol=1e-10)


def test_references_reach_their_asymptotes():
    length = np.array([30.0, 60.0])
    for exact in (rmt.goe_number_variance, rmt.goe_delta3):
        assert np.all(np.abs(exact(length) - exact(length, asymptotic=True)) < 0.01)


def test_picket_fence():
    fence = np.arange(4000) + 0.3
    length = np.array([1, 2.25, 3, 7.5])
    fraction = length % 1
    variance = rmt.number_variance(fence, length)
    np.testing.assert_allclose(variance, fraction * (1 - fraction), atol=1e-4)
    whole = np.array([1, 2, 5, 10])
    expected = 1 / 12 - 1 / (60 * whole**2)
    np.testing.assert_allclose(rmt.delta3(fence, whole), expected, atol=1e-5)


@pytest.mark.parametrize("length", [1.0, 3.7, 12.0])
def test_window_statistics_equal_brute_force(length):
    levels = np.sort(np.random.default_rng(0).random(60) * 60) + 1e4
    starts = np.linspace(levels[0], levels[-1] - length, 20001)
    counts = np.searchsorted(levels, starts + length) - np.searchsorted(levels, starts)
    assert rmt.number_variance(levels, length) == pytest.approx(counts.var(), rel=2e-3)

    span = levels[-1] - levels[0]
    starts = levels[0] + np.linspace(0, span - length, int(2 * span) + 2)
    offsets = (np.arange(4000) + 0.5) / 4000 - 0.5
    design = np.stack([np.ones(4000), np.sqrt(12) * offsets])
    squares = []
    for start in starts:
        n = np.searchsorted(levels, start + length * (offsets + 0.5)).astype(float)
        n -= n.mean()
        squares.append(np.mean(n**2) - np.sum((design @ n / 4000) ** 2))
    assert rmt.delta3(levels, length) == pytest.approx(np.mean(squares), rel=1e-3)


def test_long_intervals_of_goe_and_poisson(goe_levels):
    length = np.array([1.0, 3.0, 8.0])
    rng = np.random.default_rng(0)
    poisson = [np.sort(rng.random(400)) * 400 for _ in range(120)]
    references = {
        rmt.number_variance: (rmt.goe_number_variance(length), length),
        rmt.delta3: (rmt.goe_delta3(length), length / 15),
    }
    for statistic, expected in references.items():
        for spectra, reference in zip((goe_levels, poisson), expected, strict=True):
            values = np.stack([statistic(levels, length) for levels in spectra])
            error = values.std(0) / np.sqrt(len(values))
            # the variance about the measured mean lacks about L / n of Poisson's
            assert np.all(np.abs(values.mean(0) - reference) < 4 * error + 0.02 * reference)


def test_windows_that_do_not_fit_are_nan():
    levels = np.arange(10.0)
    assert np.isnan(rmt.number_variance(levels, [5.0])).all()
    assert np.isnan(rmt.delta3(levels, 5.0))
    with pytest.raises(ValueError, match="positive"):
        rmt.delta3(levels, [0.0])


# Calibrated tests --------------------------------------------------------------------------------


def test_statistics_of_goe_have_the_simulated_null_law():
    """Fresh GOE matrices, with edges that the reference does not have: p-values are uniform."""
    rng = np.random.default_rng(2)

    def agreements(spectra, replicates):
        ratios = rmt.ratio_agreement(spectra, replicates=replicates)
        return rmt.spacing_agreement(spectra, replicates=replicates), *ratios

    samples = [[goe_eigenvalues(100, rng) for _ in range(9)] for _ in range(50)]
    null = [agreement.null for agreement in agreements(samples[0], 299)]
    observed = np.transpose([[a.statistic for a in agreements(x, 1)] for x in samples])
    for simulated, fresh in zip(null, observed, strict=True):
        assert ks_2samp(simulated, fresh).pvalue > 0.01


def test_p_value_counts_the_null():
    spectra = list(np.random.default_rng(1).random((6, 40)))
    for agreement in (rmt.spacing_agreement(spectra), rmt.ratio_agreement(spectra).distance):
        larger = np.sum(agreement.null >= agreement.statistic)
        assert agreement.p_value == (1 + larger) / 200
    mean = rmt.ratio_agreement(spectra).mean
    assert mean.p_value == 2 * (1 + np.sum(mean.null <= mean.statistic)) / 200


def test_poisson_points_are_rejected():
    points = list(np.random.default_rng(0).random((9, 150)))
    assert rmt.spacing_agreement(points, replicates=99).p_value == 0.01
    ratios = rmt.ratio_agreement(points, replicates=99)
    assert (ratios.distance.p_value, ratios.mean.p_value) == (0.01, 0.02)
    poisson = rmt.ratio_agreement(points, law=rmt.poisson_ratio, replicates=19)
    assert poisson.distance.statistic < ratios.distance.statistic


def test_spacings_of_goe_with_densities_of_their_own():
    """Scales that differ by matrix: one density is rejected, the matched reference agrees."""
    rng = np.random.default_rng(11)

    def spectra(levels):
        return [np.exp(rng.normal(0, 0.5)) * np.sinh(levels() / 8) for _ in range(24)]

    goe = [spectra(lambda: goe_eigenvalues(200, rng)) for _ in range(8)]
    one = [rmt.spacing_agreement(x, replicates=39).p_value for x in goe]
    own = [rmt.matched_spacing_agreement(x, replicates=39).p_value for x in goe]
    assert np.median(one) == 1 / 40
    assert sum(p <= 0.05 for p in own) <= 3  # more with probability 4e-4
    assert np.mean(own) > 0.2  # less with probability 3e-4
    poisson = spectra(lambda: np.sort(rng.uniform(-28, 28, 200)))
    assert rmt.matched_spacing_agreement(poisson, replicates=39).p_value == 1 / 40


def test_results_depend_on_the_seed_alone(goe_matrices):
    one, two, other = (
        rmt.spacing_agreement(goe_matrices[:9], replicates=9, seed=seed) for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(one.null, two.null)
    assert not np.array_equal(one.null, other.null)


@pytest.mark.parametrize(
    "quantile", [lambda u: np.exp(-6 * u), lambda u: 1 / (u + 0.01), lambda u: u**3]
)
def test_matched_reference_has_the_density_and_goe_ratios(goe_levels, quantile):
    spectra = [quantile((levels - levels[0] + 1) / 220) for levels in goe_levels[:30]]
    (reference,) = rmt.matched_goe(spectra, 1, seed=4)
    assert [len(x) for x in reference] == [len(x) for x in spectra]
    pooled, expected = np.concatenate(reference), np.concatenate(spectra)
    q = np.linspace(0.02, 0.98, 25)
    below = np.searchsorted(np.sort(pooled), np.quantile(expected, q)) / len(pooled)
    np.testing.assert_allclose(below, q, atol=0.01)
    observed, matched = map(rmt.mean_bounded_ratio, (spectra, reference))
    error = np.hypot(observed.standard_error, matched.standard_error)
    assert abs(observed.mean - matched.mean) < 3.5 * error


def test_reference_of_outermost_eigenvalues(goe_levels):
    """The tail of a heavy-tailed spectrum, where the density changes from level to level."""
    spectra = [1 / (levels[:100] - levels[0] + 1) ** 2 for levels in goe_levels[:30]]
    agreement = rmt.ratio_agreement(spectra, replicates=99)
    assert agreement.mean.p_value > 0.01
    assert agreement.distance.p_value > 0.01
    assert agreement.mean.null.mean() < 0.525  # below 0.5307: no bare comparison would do


def test_intervals_of_the_mean_ratio_cover_it():
    """Over 300 samples of five short spectra, by blocks, and of 20, by matrix."""
    for matrices, n in ((5, 120), (20, 40)):
        covered = 0
        for spectra in local_tests._goe_levels([n] * matrices, 300, 9):
            low, high = rmt.mean_bounded_ratio(spectra).interval
            covered += low < local_laws.GOE_BOUNDED_RATIO < high
        assert abs(covered / 300 - 0.95) < 0.045


def test_mean_ratio_tells_goe_from_poisson(goe_levels):
    result = rmt.mean_bounded_ratio(goe_levels)
    assert abs(result.z_goe) < 3.5
    assert result.z_poisson > 20
    assert (result.groups, result.count) == (120, 120 * 178)
    points = rmt.mean_bounded_ratio(np.random.default_rng(0).random((5, 300)))
    assert abs(points.z_poisson) < 3.5
    assert points.z_goe < -10


# Errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: rmt.unfold([[1.0, 2.0]]), "two matrices or more"),
        (lambda: rmt.unfold([]), "there are no spectra"),
        (lambda: rmt.unfold([[1.0, 2.0], [1.0]]), "spectrum 1 of 2 has 1 eigenvalues"),
        (lambda: rmt.spacing_agreement([[1.0, 2.0]]), "two matrices or more"),
        (lambda: rmt.spacing_ratios([1.0, 2.0]), "the spectrum has 2 eigenvalues"),
        (lambda: rmt.spacing_ratios([1.0, np.nan, 2.0]), "not finite"),
        (lambda: rmt.spacing_ratios(np.ones((3, 3))), "2 dimensions"),
        (lambda: rmt.ratio_agreement([np.ones(9)]), "all 9 eigenvalues"),
        (lambda: rmt.mean_bounded_ratio([np.arange(12.0)]), "10 spacing ratios"),
        (lambda: rmt.unfold_smooth([1.0]), "1 eigenvalues"),
    ],
)
def test_unusable_spectra_are_explained(call, sentence):
    with pytest.raises(UserError, match=sentence):
        call()


def test_pool_fraction_outside_its_range():
    with pytest.raises(ValueError, match="between 0 and 1"):
        rmt.unfold([[1.0, 2.0], [1.0, 2.0]], pool_fraction=1.0)


# Statistics of a cell ----------------------------------------------------------------------------


def table(spectra):
    """As `curvature.exact_batches` writes it, of spectra that are all signal but for one zero."""
    eigenvalues = np.array([np.append(x, 0.0) for x in spectra])
    kind = np.full(eigenvalues.shape, SIGNAL)
    kind[:, -1] = 0
    return {"eigenvalues": eigenvalues, "kind": kind}


def test_the_full_arm_is_a_spectrum_of_its_own(goe_matrices):
    batches = [table(goe_matrices[:3]), table(goe_matrices[3:6])]
    whole = table([goe_matrices[6]])
    statistics = local_statistics(batches, [], [whole], replicates=19, seed=1)
    assert statistics["full/matrices"] == 1
    assert statistics["signal/matrices"] == 6
    assert len(statistics["full/spacings"]) == 0
    x = goe_matrices[6]
    expected = [rmt.spacing_ratios(side) for side in (x[x < 0], x[x > 0])]
    np.testing.assert_array_equal(statistics["full/ratios"], np.concatenate(expected))
    without = local_statistics(batches, [], replicates=19, seed=1)
    assert not [name for name in without if name.startswith("full")]
    for name, value in without.items():
        np.testing.assert_array_equal(statistics[name], value)


@pytest.mark.parametrize("stretch", [lambda x: x, lambda x: np.sign(x) * np.expm1(np.abs(x) / 4)])
def test_rigidity_of_goe_agrees_whatever_the_density(goe_matrices, stretch):
    """Half of 200 levels on each side; p-values of three disjoint parts are not all small."""
    parts = [table([stretch(x) for x in goe_matrices[i : i + 12]]) for i in (0, 12, 24)]
    found = [rigidity_statistics([part], [], replicates=39, seed=2) for part in parts]
    for measure in ("number_variance", "delta3"):
        assert max(each[f"signal/{measure}_p_value"] for each in found) > 0.1
        assert found[0][f"signal/{measure}"].shape == LENGTHS.shape
        assert found[0][f"signal/{measure}_goe"].shape == (39, len(LENGTHS))
    assert found[0]["signal/sides"] == 24


def test_rigidity_of_poisson_levels_is_rejected():
    rng = np.random.default_rng(3)
    poisson = table([rng.uniform(-1, 1, 200) for _ in range(12)])
    found = rigidity_statistics([poisson], [], replicates=39, seed=2)
    for measure, at_one in (("number_variance", 1.0), ("delta3", 1 / 15)):
        assert found[f"signal/{measure}_p_value"] == 1 / 40
        short = LENGTHS < 2  # unfolding has taken little of these
        np.testing.assert_allclose(found[f"signal/{measure}"][short] / LENGTHS[short], at_one, 0.15)


def test_p_value_of_the_largest_deviation_is_uniform_under_the_null():
    """Ranks among exchangeable rows: uniform on 1/20 ... 1, here over correlated columns."""
    rng = np.random.default_rng(4)
    draws = rng.standard_normal((400, 20, 6)).cumsum(axis=2)
    p = np.array([largest_deviation_p_value(rows[0], rows[1:]) for rows in draws])
    counts = np.bincount(np.rint(20 * p).astype(int), minlength=21)[1:]
    assert counts.sum() == 400
    assert ((counts - 20) ** 2 / 20).sum() < 45  # chi-squared with 19 degrees: p = 7e-4
    shifted = [largest_deviation_p_value(rows[0] + 9, rows[1:]) for rows in draws[:50]]
    assert np.mean(shifted) < 0.15
