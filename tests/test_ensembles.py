"""Sampled matrices: symmetry, moments of the entries, and spectra against their laws."""

import numpy as np
import pytest

from hessian_rmt.rmt import ensembles
from hessian_rmt.rmt.ensembles import (
    ENSEMBLES,
    gaussian_process_hessian,
    gaussian_process_law,
    haar_orthogonal,
    regular_graph,
)
from hessian_rmt.rmt.laws import KestenMcKay

N = 300


def distance(eigenvalues, law):
    ranks = np.arange(1, len(eigenvalues) + 1) / len(eigenvalues)
    return np.max(np.abs(law.cdf(np.sort(eigenvalues)) - ranks))


@pytest.mark.parametrize("name", ENSEMBLES)
def test_spectrum_follows_the_law(name):
    ensemble = ENSEMBLES[name]
    matrix = ensemble.sample(N, np.random.default_rng(0))
    np.testing.assert_array_equal(matrix, matrix.T)
    assert distance(np.linalg.eigvalsh(matrix), ensemble.law(N)) < 8 / N
    np.testing.assert_array_equal(matrix, ensemble.sample(N, np.random.default_rng(0)))


@pytest.mark.parametrize("name", ["goe", "uniform_wigner", "gamma_wigner"])
def test_variance_of_wigner_entries(name):
    matrix = getattr(ensembles, name)(800, np.random.default_rng(1))
    upper = matrix[np.triu_indices(800, 1)]
    assert 800 * upper.var() == pytest.approx(0.5, rel=0.02)
    if name == "goe":
        assert 800 * np.diag(matrix).var() == pytest.approx(1, rel=0.2)


@pytest.mark.parametrize(
    ("name", "outlier"),
    [
        ("uniform_wigner", 1.5**0.5 * 500**0.5),
        ("gamma_wigner", 500**0.5),
        ("uniform_wishart", 1500),
    ],
)
def test_a_mean_makes_one_outlier(name, outlier):
    """Errata: about 27, 22 and 1500 at n = 500; none when centred."""
    sample = getattr(ensembles, name)
    values = np.linalg.eigvalsh(sample(500, np.random.default_rng(2)))
    assert values[-1] == pytest.approx(outlier, rel=0.03)
    assert values[-2] < 3.1
    assert np.linalg.eigvalsh(sample(500, np.random.default_rng(2), centred=True))[-1] < 3.1


@pytest.mark.parametrize("degree", [3, 10])
def test_regular_graph(degree):
    matrix = regular_graph(N, np.random.default_rng(3), degree=degree)
    np.testing.assert_array_equal(matrix.sum(0), degree)
    values = np.linalg.eigvalsh(matrix)
    assert values[-1] == pytest.approx(degree)
    assert distance(values, KestenMcKay(degree)) < 12 / N
    with pytest.raises(ValueError, match="even"):
        regular_graph(5, np.random.default_rng(0))


def test_haar_orthogonal():
    q = haar_orthogonal(50, np.random.default_rng(4))
    np.testing.assert_allclose(q @ q.T, np.eye(50), atol=1e-13)
    traces = [np.trace(haar_orthogonal(6, np.random.default_rng(k))) for k in range(2000)]
    assert np.mean(traces) == pytest.approx(0, abs=0.1)  # not so without the signs
    assert np.var(traces) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("printed", [False, True])
def test_covariance_of_gaussian_process_hessians(printed):
    rng, k1, k2 = np.random.default_rng(5), 1.5, 0.8
    draws = np.array(
        [gaussian_process_hessian(3, rng, k1=k1, k2=k2, printed=printed) for _ in range(20000)]
    )
    common = k1**2 if printed else k2
    expected = {
        (0, 0, 0, 0): 2 * k2 + common,
        (0, 1, 0, 1): k2,
        (0, 1, 1, 0): k2,
        (0, 0, 1, 1): common,
        (0, 1, 1, 2): 0,
    }
    for (i, j, k, m), value in expected.items():
        covariance = np.mean(draws[:, i, j] * draws[:, k, m])
        assert covariance == pytest.approx(value, abs=0.12)


def test_degeneracy_and_outliers():
    matrix = gaussian_process_hessian(
        N, np.random.default_rng(6), k2=1e-3, degenerate=100, outliers=20, outlier_scale=10.0
    )
    assert matrix.shape == (400, 400)
    values = np.linalg.eigvalsh(matrix)
    assert np.sum(np.abs(values) < 1e-12) == 100
    assert np.sum(values > 1.2 * gaussian_process_law(N, 1e-3).radius) == 20
