"""H0 and H1 of autoencoders: whitening, laws, gaps, freeness; each with a control that fails."""

import numpy as np
import pytest

from hessian_rmt.errors import UserError
from hessian_rmt.geometry.autoencoders import (
    autoencoders,
    distance,
    fit_gap,
    gauss_newton_spectra,
    noise_spectra,
    residual_spectra,
    spectral_gaps,
    whitened,
)
from hessian_rmt.geometry.freeness import compare, freeness_along_training
from hessian_rmt.geometry.laws import residual_law
from hessian_rmt.geometry.networks import Networks
from hessian_rmt.rmt.ensembles import goe, rotated, wishart


def images(count=600, size=3, seed=0):
    """Correlated pixels of unequal scale, two channels."""
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((2 * size * size, 2 * size * size))
    return (rng.standard_normal((count, 2 * size * size)) @ mixing + 3).reshape(
        count, 2, size, size
    )


def test_whitened_features_are_uncorrelated_with_unit_variance():
    features = whitened(images())
    assert features.shape == (9, 600)
    np.testing.assert_allclose(features.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(features @ features.T / 600, np.eye(9), atol=1e-11)


def test_whitening_forgets_every_invertible_map_but_a_rotation():
    pictures = images()[:, :1]
    mixing = np.random.default_rng(1).standard_normal((9, 9))
    mapped = (pictures.reshape(600, 9) @ mixing + 1).reshape(600, 1, 3, 3)
    first, second = whitened(pictures), whitened(mapped)
    np.testing.assert_allclose(first.T @ first, second.T @ second, atol=1e-8)


def test_constant_pixels_cannot_be_whitened():
    pictures = images()
    pictures[:, :, 0, 0] = 1
    with pytest.raises(UserError, match="cannot be whitened"):
        whitened(pictures)


def test_too_few_images_get_a_sentence():
    with pytest.raises(UserError, match="there are 600 images"):
        autoencoders(whitened(images()), 700, 3, 1, np.random.default_rng(0))


@pytest.mark.parametrize("shape", [(5, 7, 5), (4, 6, 3)])
def test_units_spectra_are_those_of_the_whole_h1(shape):
    n0, n1, n2 = shape
    rng = np.random.default_rng(9)
    plain = Networks(rng.standard_normal((2, n0, 12)), rng.standard_normal((2, n2, 12)), n1, "relu")
    theta = plain.initial(rng)
    found = noise_spectra(plain, theta, 3.0, np.random.default_rng(1))
    noise = np.sqrt(6.0) * np.random.default_rng(1).standard_normal((2, n2, 12))
    noisy = Networks(plain.inputs, plain.targets, n1, "relu", noise)
    whole = np.linalg.eigvalsh(noisy.hessian_parts(theta)[1])
    np.testing.assert_allclose(found, whole, atol=1e-13)


def normal_features(n=9, count=4000):
    return np.random.default_rng(5).standard_normal((n, count))


def test_normal_features_are_no_further_from_the_law_than_normal_inputs():
    statistics = residual_spectra(
        normal_features(), hidden=9, examples=[72], energy=2.0, samples=6, replicates=19, seed=1
    )
    assert statistics["72/p_value"] > 0.05
    assert len(statistics["72/null_distances"]) == 19


def test_heavy_tailed_features_are():
    rng = np.random.default_rng(6)
    heavy = rng.standard_t(2.5, (9, 4000))
    features = whitened(heavy.T.reshape(4000, 1, 3, 3))
    statistics = residual_spectra(
        features, hidden=9, examples=[72], energy=2.0, samples=6, replicates=19, seed=1
    )
    assert statistics["72/p_value"] == 0.05


def test_law_of_h1_is_approached_as_networks_grow():
    distances = []
    for n in (4, 16):
        statistics = residual_spectra(
            normal_features(n),
            hidden=n,
            examples=[8 * n],
            energy=2.0,
            samples=8,
            replicates=1,
            seed=1,
        )
        law = residual_law(2.0, 0.25)
        np.testing.assert_allclose(
            distance(statistics[f"{8 * n}/eigenvalues"], law), statistics[f"{8 * n}/distance"]
        )
        distances.append(statistics[f"{8 * n}/distance"])
        # of another energy, or of the semicircle of (15), it is not the law
        values = statistics[f"{8 * n}/eigenvalues"]
        assert distance(values, residual_law(6.0, 0.25)) > 3 * distances[-1]
        assert distance(values, residual_law(2.0, 0.25, model="simplified")) > 3 * distances[-1]
    assert distances[1] < distances[0]


def test_h0_has_one_exact_zero_per_unit():
    statistics = gauss_newton_spectra(normal_features(), hidden=7, examples=60, samples=4, seed=2)
    values, floor = statistics["eigenvalues"], statistics["floor"]
    assert statistics["zeros"] == 7
    assert ((values < floor[:, None]).sum(axis=1) == 7).all()


def test_planted_gaps_give_their_variance_back():
    phi = np.array([0.5, 0.25, 0.125])
    rng = np.random.default_rng(3)
    hits = 0
    for seed in range(40):
        edge = 0.3 * (1 - np.sqrt(phi)) ** 2
        gaps = edge[:, None] * (1 + 0.2 * rng.standard_normal((3, 30)))
        fit = fit_gap(phi, gaps, bootstrap=300, seed=seed)
        hits += fit.interval[0] <= 0.3 <= fit.interval[1]
        assert abs(fit.variance - 0.3) < 0.03
    assert hits >= 32  # 35 to 38 are expected of intervals at 95 % from 30 runs


def test_gaps_that_do_not_follow_the_edge_have_a_large_chi_squared():
    phi = np.array([0.5, 0.25, 0.125])
    rng = np.random.default_rng(4)
    gaps = 0.1 * (1 + 0.05 * rng.standard_normal((3, 30)))
    assert fit_gap(phi, gaps, bootstrap=50).chi_squared > 10


def test_gaps_grow_with_the_data():
    statistics = spectral_gaps(
        normal_features(), hidden=9, examples=[36, 72, 144], samples=6, seed=1
    )
    assert (np.diff(statistics["gaps"].mean(axis=1)) > 0).all()
    assert (statistics["zeros"] >= 9).all()


def test_free_matrices_are_not_told_from_rotated_ones():
    rng = np.random.default_rng(7)
    found = [
        compare(wishart(60, rng), rotated(goe(60, rng), rng), 19, rng)["p_value"] for _ in range(8)
    ]
    assert np.median(found) > 0.1


def test_commuting_matrices_are():
    rng = np.random.default_rng(8)
    first, second = (np.diag(np.sort(rng.standard_normal(60))) for _ in range(2))
    statistics = compare(first, second, 19, rng)
    assert statistics["p_value"] == 0.05
    assert statistics["distance"] > 5 * statistics["rotated_distances"].max()
    np.testing.assert_allclose(statistics["distance"], statistics["commuting_distance"])


def test_training_stops_at_the_energies():
    statistics = freeness_along_training(
        normal_features(),
        hidden=5,
        examples=40,
        fractions=[1.0, 0.8, 0.01],
        learning_rate=0.1,
        max_steps=200,
        rotations=3,
        seed=1,
    )
    energy, capped = statistics["energy"], statistics["capped"]
    assert list(capped) == [False, False, True]
    assert energy[1] <= 0.8 * energy[0]
    assert energy[2] > 0.01 * energy[0]
    assert statistics["sum"].shape == (3, 90)
    assert statistics["rotated"].shape == (3, 3, 90)
