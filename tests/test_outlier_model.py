"""The constrained least-squares fit of `universality` (2.33): recovery, optimality, symmetry."""

import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.stats import binom

from hessian_rmt.errors import UserError
from hessian_rmt.rmt import outlier_adam, outlier_projection
from hessian_rmt.rmt.outlier_curves import curves as curves_of
from hessian_rmt.rmt.outlier_model import fit_outliers, outlier_model

BATCH_SIZES = 2.0 ** np.arange(5, 14)
THETA = np.array([20.0, 10.0, 7.0, 5.0, 4.0])


def noisy(seed, *, spread=0.2, n_seeds=10, homoscedastic=False, **changes):
    """Hessian-like outliers; the spread falls like b^-1/2 unless homoscedastic, sorted per seed."""
    rng = np.random.default_rng(seed)
    planted = {"alpha": 5.0, "beta": 300.0, "gamma": 1.5, "exponent": 0.5} | changes
    curves = outlier_model(BATCH_SIZES, THETA, **planted)
    noise = spread * rng.standard_normal((len(BATCH_SIZES), n_seeds, len(THETA)))
    if homoscedastic:
        return curves[:, None] + noise
    sizes = np.sqrt(BATCH_SIZES[0] / BATCH_SIZES)[:, None, None]
    return -np.sort(-curves[:, None] * (1 + noise * sizes), axis=2)


def constant_law(seed):
    """Positive descending noise that follows no law in b."""
    rng = np.random.default_rng(seed)
    means = -np.sort(-rng.gamma(2.0, 5.0, (6, 4)) - 0.1, axis=1)
    means = np.sort(means, axis=0)[:: rng.choice([-1, 1])]
    return 2.0 ** np.arange(4, 10), means[:, None] * np.ones((1, 3, 1))


def mse_of(batch_sizes, data, theta, w, exponent):
    curves = curves_of(np.log(batch_sizes), theta, exponent, w)
    return np.mean((data.mean(1) - curves) ** 2)


@pytest.mark.parametrize("seed", range(8))
def test_planted_parameters_are_recovered_without_noise(seed):
    rng = np.random.default_rng(seed)
    theta = np.cumsum(rng.uniform(1, 6, 5))[::-1]
    alpha, gamma, exponent = rng.uniform(1, 6), rng.uniform(0.2, 2), rng.uniform(0.15, 0.95)
    beta = 0.0 if seed % 4 == 3 else rng.uniform(1, 10) * 32 ** (2 * exponent)
    data = outlier_model(BATCH_SIZES, theta, alpha, beta, gamma, exponent)[:, None]
    fit = fit_outliers(BATCH_SIZES, data)
    np.testing.assert_allclose(fit.theta, theta, rtol=1e-7)
    np.testing.assert_allclose(fit.exponent, exponent, rtol=1e-7)
    np.testing.assert_allclose(fit.alpha, alpha, rtol=1e-6)
    np.testing.assert_allclose(fit.beta, beta, rtol=1e-6, atol=1e-7)
    if beta:
        np.testing.assert_allclose(fit.gamma, gamma, rtol=1e-6)
    np.testing.assert_allclose(fit.predict(BATCH_SIZES), data[:, 0], rtol=1e-9)
    assert fit.mse < 1e-20
    assert fit.r_squared == pytest.approx(1)


def test_exponent_on_a_given_grid_is_recovered():
    data = outlier_model(BATCH_SIZES, THETA, 3.0, 200.0, 1.0, 0.7)[:, None]
    fit = fit_outliers(BATCH_SIZES, data, exponents=[0.3, 0.7, 1.1])
    assert fit.exponent == 0.7
    np.testing.assert_allclose(fit.theta, THETA, rtol=1e-8)
    assert fit.grid_mse.argmin() == 1
    np.testing.assert_array_equal(fit.grid_exponents, [0.3, 0.7, 1.1])


@pytest.mark.parametrize("form", ["full", "half", "semicircle"])
@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1e7])
def test_scale_covariance(form, scale):
    data = noisy(3)
    one, other = (fit_outliers(BATCH_SIZES, c * data, form=form) for c in (1.0, scale))
    np.testing.assert_allclose(other.exponent, one.exponent, rtol=1e-6)
    np.testing.assert_allclose(other.theta, scale * one.theta, rtol=1e-6)
    np.testing.assert_allclose(other.alpha, scale * one.alpha, rtol=1e-5)
    np.testing.assert_allclose(other.beta, scale**2 * one.beta, rtol=1e-5)
    np.testing.assert_allclose(other.gamma, scale * one.gamma, rtol=1e-5)
    np.testing.assert_allclose(other.mse, scale**2 * one.mse, rtol=1e-10)
    np.testing.assert_allclose(other.r_squared, one.r_squared, rtol=1e-10)


def test_unit_of_the_batch_size_is_a_symmetry():
    one, other = (fit_outliers(c * BATCH_SIZES, noisy(4)) for c in (1.0, 10.0))
    np.testing.assert_allclose(other.theta, one.theta, rtol=1e-6)
    np.testing.assert_allclose(other.alpha, one.alpha * 10**one.exponent, rtol=1e-5)


@pytest.mark.parametrize("seed", range(40))
def test_constraints_hold_on_any_data(seed):
    batch_sizes, data = constant_law(seed)
    fit = fit_outliers(batch_sizes, data)
    assert np.all(np.diff(fit.theta) < 0)
    assert fit.theta[-1] > 0
    assert fit.beta >= 0
    assert np.isnan(fit.gamma) == (fit.beta == 0)
    assert 0.05 <= fit.exponent <= 2
    assert fit.mse <= fit.grid_mse.min() * (1 + 1e-9)
    np.testing.assert_allclose(
        fit.mse, np.mean((data.mean(1) - fit.predict(batch_sizes)) ** 2), rtol=1e-12
    )


@pytest.mark.parametrize("seed", range(4))
def test_never_above_adam(seed):
    data = noisy(seed, exponent=[0.5, 0.3, 0.7, 0.9][seed])
    fit, adam = fit_outliers(BATCH_SIZES, data), fit_outliers(BATCH_SIZES, data, method="adam")
    assert adam.beta >= 0
    assert np.all(np.diff(adam.theta) < 0)
    assert fit.mse <= adam.mse
    assert np.all(fit.grid_mse <= adam.grid_mse * (1 + 1e-6))


@pytest.mark.parametrize("seed", range(4))
def test_never_above_adam_on_data_without_law(seed):
    batch_sizes, data = constant_law(seed)
    fit = fit_outliers(batch_sizes, data)
    adam = fit_outliers(batch_sizes, data, method="adam")
    assert adam.beta < 0 or fit.mse <= adam.mse * (1 + 1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_never_above_least_squares_from_many_starts(seed):
    data = noisy(seed, spread=0.4)
    means, rng = data.mean(1), np.random.default_rng(seed)
    fit = fit_outliers(BATCH_SIZES, data)

    # x = (gaps, alpha, delta, beta, v) with b in units of its geometric mean
    centre = np.mean(np.log(BATCH_SIZES))

    def residuals(x):
        theta = np.cumsum(x[:5][::-1])[::-1]
        return (means - curves_of(np.log(BATCH_SIZES) - centre, theta, x[8], x[5:8])).ravel()

    lower = np.r_[np.full(5, 1e-5), -np.inf, -np.inf, 0, 0.05]
    upper = np.r_[np.full(8, np.inf), 2.0]
    for _ in range(6):
        start = np.r_[rng.uniform(0.5, 8, 5), rng.normal(size=2), rng.uniform(0, 9), 0.5]
        start[8] = rng.uniform(0.1, 1.9)
        found = least_squares(residuals, start, bounds=(lower, upper), x_scale="jac", max_nfev=300)
        assert fit.mse <= 2 * found.cost / means.size * (1 + 1e-9)


def test_point_is_stationary():
    """Newton has converged: moving any free parameter raises the sum of squares."""
    data = noisy(1)
    fit = fit_outliers(BATCH_SIZES, data)
    w = np.array([fit.alpha, fit.beta_gamma, fit.beta])
    values = np.r_[fit.theta, w, fit.exponent]
    for i in range(len(values)):
        slopes = []
        for h in (1e-5, -1e-5):
            x = values.copy()
            x[i] *= 1 + h
            slopes.append(mse_of(BATCH_SIZES, data, x[:5], x[5:8], x[8]) - fit.mse)
        assert min(slopes) > 0
        assert abs(slopes[0] - slopes[1]) < 1e-3 * max(slopes)


def test_reduced_objective_is_the_brute_force_linear_solve():
    rng = np.random.default_rng(0)
    means, log_b = noisy(0).mean(1) / 10, np.log(BATCH_SIZES / 500)
    p = np.c_[rng.uniform(0.05, 0.5, (30, 5)), rng.uniform(0.1, 1.5, 30)]
    reduced = outlier_projection._reduced(log_b, np.broadcast_to(means, (30, 9, 5)), p, (0, 1, 2))
    clipped = 0
    for j in range(30):
        theta, x = np.cumsum(p[j, :5][::-1])[::-1], np.exp(-p[j, 5] * log_b)[:, None]
        design = [x + 0 * theta, x**2 / theta**2, x**2 / theta]
        design = np.stack([column.ravel() for column in design], 1)
        target = (means - theta).ravel()
        w = np.linalg.lstsq(design, target)[0]
        if w[2] < 0:
            clipped += 1
            w = np.r_[np.linalg.lstsq(design[:, :2], target)[0], 0]
        np.testing.assert_allclose(reduced.w[j], w, rtol=1e-7, atol=1e-12)
        np.testing.assert_allclose(2 * reduced.value[j], np.sum((target - design @ w) ** 2))
    assert 0 < clipped < 30


@pytest.mark.parametrize("columns", [(0, 1, 2), (2,)])
def test_reduced_derivatives(columns):
    rng = np.random.default_rng(1)
    means, log_b = np.broadcast_to(noisy(0).mean(1) / 10, (20, 9, 5)), np.log(BATCH_SIZES / 500)
    p = np.c_[rng.uniform(0.1, 0.5, (20, 5)), rng.uniform(0.2, 0.9, 20)]
    at = outlier_projection._reduced(log_b, means, p, columns)
    h = 1e-5
    up, down = (
        [outlier_projection._reduced(log_b, means, p + s * h * e, columns) for e in np.eye(6)]
        for s in (1, -1)
    )
    pairs = list(zip(up, down, strict=True))
    slope = np.stack([(a.value - b.value) / (2 * h) for a, b in pairs], 1)
    curvature = np.stack([(a.gradient - b.gradient) / (2 * h) for a, b in pairs], 2)
    size = np.abs(at.hessian).max((1, 2))
    np.testing.assert_allclose(at.gradient, slope, atol=1e-6 * size.max())
    assert np.all(np.abs(at.hessian - curvature).max((1, 2)) < 1e-5 * size)


@pytest.mark.parametrize("columns", [(0, 1, 2), (2,)])
def test_adam_gradient_with_and_without_penalty(columns):
    rng = np.random.default_rng(2)
    means = noisy(0).mean(1)
    exponent = rng.uniform(0.2, 0.9, 12)
    x = np.exp(-exponent[:, None] * np.log(BATCH_SIZES))[:, :, None]
    raw = rng.standard_normal((12, 5)) + np.linspace(-1, 8, 12)[:, None]

    def loss(raw):
        _, w, mse = outlier_adam._penalised(x, means, raw, columns)
        return mse + 1000 * np.maximum(0, -w[:, 2])

    gradient, w, _ = outlier_adam._penalised(x, means, raw, columns)
    steps = 1e-6 * np.eye(5)
    numeric = np.stack([(loss(raw + e) - loss(raw - e)) / 2e-6 for e in steps], 1)
    size = np.abs(gradient).max(1, keepdims=True)
    np.testing.assert_allclose(gradient / size, numeric / size, atol=1e-4)
    assert len(columns) == 1 or (np.any(w[:, 2] < 0) and np.any(w[:, 2] > 0))


@pytest.mark.parametrize("seed", range(5))
def test_nested_forms_have_ordered_errors(seed):
    data = noisy(seed)
    full, half, semicircle = (
        fit_outliers(BATCH_SIZES, data, form=form) for form in ("full", "half", "semicircle")
    )
    assert full.mse <= half.mse * (1 + 1e-9)
    assert half.mse <= semicircle.mse * (1 + 1e-9)
    assert half.exponent == semicircle.exponent == 0.5
    assert semicircle.alpha == semicircle.beta_gamma == 0
    freedom = [fit.degrees_of_freedom for fit in (full, half, semicircle)]
    assert freedom == [45 - 9, 45 - 8, 45 - 6]
    assert full.aic == pytest.approx(45 * np.log(full.mse) + 18)


def test_semicircle_is_recovered():
    data = outlier_model(BATCH_SIZES, THETA, 0.0, 400.0, 0.0, 0.5)[:, None]
    fit = fit_outliers(BATCH_SIZES, data, form="semicircle")
    np.testing.assert_allclose(fit.theta, THETA, rtol=1e-10)
    assert (fit.beta, fit.gamma) == (pytest.approx(400), 0)


@pytest.mark.parametrize("homoscedastic", [True, False])
def test_chi_squared_is_one_per_degree_of_freedom(homoscedastic):
    def curves_and_noise(seed):
        data = noisy(seed, spread=0.02, n_seeds=12, homoscedastic=homoscedastic)
        fit = fit_outliers(BATCH_SIZES, data)
        return fit.chi_squared / fit.degrees_of_freedom

    ratios = [curves_and_noise(seed) for seed in range(40)]
    # F(1, 11) has variance 3.6 or so, hence a standard error of about sqrt(3.6 / 36 / 40)
    assert np.mean(ratios) == pytest.approx(1, abs=0.2)


def test_chi_squared_needs_a_spread():
    assert np.isnan(fit_outliers(BATCH_SIZES, noisy(0, n_seeds=1)).chi_squared)
    assert np.isnan(fit_outliers(BATCH_SIZES, noisy(0)[:, :1].repeat(10, 1)).chi_squared)


def test_intervals_cover_in_about_95_percent():
    n, covered = 40, np.zeros(2, int)
    for seed in range(n):
        data = noisy(100 + seed, spread=0.02, n_seeds=20)
        fit = fit_outliers(BATCH_SIZES, data, bootstrap=80, seed=seed)
        for j, (name, planted) in enumerate([("exponent", 0.5), ("alpha", 5.0)]):
            low, high = fit.intervals[name]
            covered[j] += low <= planted <= high
    # a percentile interval of 80 replicates from 20 seeds covers somewhat less than 95 %
    assert np.all(covered >= binom.ppf(1e-3, n, 0.9))


def test_bootstrap_depends_on_the_seed_alone():
    data = noisy(5)
    one, again, other = (fit_outliers(BATCH_SIZES, data, bootstrap=25, seed=s) for s in (1, 1, 2))
    assert set(one.intervals) == {"theta", "alpha", "beta", "gamma", "exponent", "mse"}
    for name, (low, high) in one.intervals.items():
        np.testing.assert_array_equal(again.intervals[name], (low, high))
        assert np.all(low <= high)
    assert one.intervals["theta"][0].shape == (5,)
    assert one.intervals["exponent"][0].shape == ()
    assert not np.array_equal(one.intervals["theta"], other.intervals["theta"])
    assert fit_outliers(BATCH_SIZES, data).intervals == {}


def test_bootstrap_of_the_other_forms_and_methods():
    data = noisy(5)
    semicircle = fit_outliers(BATCH_SIZES, data, form="semicircle", bootstrap=10)
    np.testing.assert_array_equal(semicircle.intervals["exponent"], [0.5, 0.5])
    adam = fit_outliers(BATCH_SIZES, data, method="adam", exponents=[0.3, 0.5], bootstrap=2)
    assert np.all(adam.intervals["theta"][0] <= adam.intervals["theta"][1])


def test_outliers_constant_in_the_batch_size():
    fit = fit_outliers(BATCH_SIZES, np.tile(THETA, (9, 4, 1)))
    np.testing.assert_allclose(fit.predict([100.0]), THETA[None], rtol=1e-9)
    assert np.isnan(fit.r_squared)


def replaced(value):
    data = noisy(0)
    data[2, 3, 1] = value
    return data


@pytest.mark.parametrize(
    ("batch_sizes", "data", "options", "message"),
    [
        (BATCH_SIZES, noisy(0)[:, 0], {}, "shape"),
        (BATCH_SIZES[:-1], noisy(0), {}, "shape"),
        (BATCH_SIZES, noisy(0)[:, :0], {}, "shape"),
        (BATCH_SIZES, replaced(np.nan), {}, "NaN"),
        (-BATCH_SIZES, noisy(0), {}, "positive"),
        (BATCH_SIZES, replaced(1e4), {}, "descending"),
        (BATCH_SIZES, noisy(0) - 10, {}, "positive"),
        (BATCH_SIZES[:1], noisy(0)[:1], {}, "too few"),
        (BATCH_SIZES[:2], noisy(0)[:2, :, :2], {}, "too few"),
        (BATCH_SIZES, noisy(0)[:, :, :1], {}, "two or more"),
        (BATCH_SIZES, noisy(0), {"exponents": []}, "exponents"),
        (BATCH_SIZES, noisy(0), {"exponents": [-0.5]}, "exponents"),
    ],
)
def test_bad_data_is_one_sentence(batch_sizes, data, options, message):
    with pytest.raises(UserError, match=message):
        fit_outliers(batch_sizes, data, **options)


@pytest.mark.parametrize(
    "options", [{"method": "sgd"}, {"form": "quarter"}, {"form": "half", "exponents": [0.5]}]
)
def test_unknown_options(options):
    with pytest.raises(ValueError):
        fit_outliers(BATCH_SIZES, noisy(0), **options)
