"""Noise of batch Hessians: dense matrices, cumulants, delocalisation, local law, complexity."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from scipy.stats import multivariate_normal
from torch.nn import functional as F

from hessian_rmt.config import check_config
from hessian_rmt.curvature import exact_blocks
from hessian_rmt.curvature.common_coordinates import CommonCoordinates
from hessian_rmt.curvature.noise import NoiseGrid, measure_noise
from hessian_rmt.curvature.outliers import draw_batch
from hessian_rmt.errors import UserError
from hessian_rmt.jobs import Log
from hessian_rmt.networks.mlp import mlp
from hessian_rmt.rmt import MarchenkoPastur, Semicircle, goe_eigenvalues
from hessian_rmt.rmt.complexity import (
    batches_row,
    gradient_density,
    log_ball_volume,
    log_integral,
    noise_row,
)
from hessian_rmt.rmt.concentration import (
    concentration,
    exponents,
    resolvent_moments,
    rigidity_ratio,
)
from hessian_rmt.rmt.delocalisation import control_overlaps, delocalisation, haar_overlaps
from hessian_rmt.rmt.ensembles import goe
from hessian_rmt.rmt.green_function import averaged_local_law
from hessian_rmt.rmt.noise_model import entry_cumulants, free_cumulants, power_law

ROOT = Path(__file__).parents[1]
NETWORKS = {
    "relu": {"hidden": (4, 5)},
    "one layer": {"hidden": (4,)},
    "softmax": {"hidden": ()},
    "tanh": {"hidden": (4, 3), "activation": "tanh"},
    "no bias": {"hidden": (4, 5), "bias": False},
}


@pytest.fixture(params=NETWORKS, scope="module")
def problem(request):
    """A network, its loss's examples (some inputs always zero) and their common coordinates."""
    torch.manual_seed(3)
    network = mlp((6,), 3, **NETWORKS[request.param]).double()
    inputs, targets = torch.randn(30, 6, dtype=torch.float64), torch.randint(3, (30,))
    inputs[:, 4:] = 0
    return network, inputs, targets, CommonCoordinates(network, F.cross_entropy, inputs, targets)


def autograd_hessian(network, inputs, targets):
    parameters = dict(network.named_parameters())
    sizes = [p.numel() for p in parameters.values()]

    def loss(flat):
        pieces = zip(parameters.items(), flat.split(sizes), strict=True)
        weights = {name: piece.view_as(p) for (name, p), piece in pieces}
        return F.cross_entropy(torch.func.functional_call(network, weights, (inputs,)), targets)

    flat = torch.cat([p.detach().flatten() for p in parameters.values()])
    return torch.func.hessian(loss)(flat), torch.func.grad(loss)(flat)


def test_isometry_and_its_adjoint(problem):
    network, _, _, H = problem
    y = torch.randn(H.dimension, 2, dtype=torch.float64)
    x = torch.randn(H.parameters, 2, dtype=torch.float64)
    torch.testing.assert_close(H.restrict(H.extend(y)), y)
    torch.testing.assert_close(H.extend(y).T @ x, y.T @ H.restrict(x))
    assert H.parameters == sum(p.numel() for p in network.parameters()) > H.dimension


@pytest.mark.parametrize("examples", [None, [3], [0, 1, 1, 7, 29, 29, 29]])
def test_batch_hessians_in_common_coordinates(problem, examples):
    network, inputs, targets, H = problem
    chosen = torch.arange(30) if examples is None else torch.tensor(examples)
    expected, _ = autograd_hessian(network, inputs[chosen], targets[chosen])
    K = H.hessian(None if examples is None else chosen)
    torch.testing.assert_close(H.extend(H.extend(K).T), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("strip", [4, 128])
def test_gradient_moments(problem, monkeypatch, strip):
    """With strips of the symmetric sum that the order is and is not a multiple of."""
    monkeypatch.setattr(exact_blocks, "_STRIP", strip)
    network, inputs, targets, H = problem
    gradients = torch.stack(
        [autograd_hessian(network, inputs[[i]], targets[[i]])[1] for i in range(30)]
    )
    mean, covariance = H.gradient_moments()
    torch.testing.assert_close(H.extend(mean[:, None])[:, 0], gradients.mean(0))
    expected = torch.cov(gradients.T, correction=0)
    torch.testing.assert_close(H.extend(H.extend(covariance).T), expected, rtol=1e-9, atol=1e-12)


def test_other_networks_are_refused():
    convolution = torch.nn.Sequential(torch.nn.Conv1d(1, 1, 3), torch.nn.Flatten())
    with pytest.raises(UserError, match="perceptrons"):
        CommonCoordinates(convolution, F.cross_entropy, torch.randn(2, 1, 5), torch.zeros(2).long())


GRID = NoiseGrid(
    batch_sizes=[4, 8, 16], seeds=3, spectrum_batch_size=8, spectra=2, directions=4, outliers=2
)


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    torch.manual_seed(0)
    network = mlp((8,), 4, hidden=(5, 6)).double()
    inputs, targets = torch.randn(80, 8, dtype=torch.float64), torch.randint(4, (80,))
    with open(tmp_path_factory.mktemp("log") / "log", "w") as file:
        table = measure_noise(
            "run", 1, 7, network, F.cross_entropy, inputs, targets, GRID, Log(file), memory_mb=100
        )
    return table, network, inputs, targets


def test_measured_noise_is_that_of_the_batches_themselves(noise):
    table, network, inputs, targets = noise
    true, _ = autograd_hessian(network, inputs, targets)
    order = table["dimension"]
    for i, size in enumerate(GRID.batch_sizes):
        matrices = []
        for seed in range(GRID.seeds):
            batch = draw_batch(7, "run", 1, size, seed, 80)
            H, _ = autograd_hessian(network, inputs[batch], targets[batch])
            matrices.append((H - true).numpy())
            values = np.linalg.eigvalsh(matrices[-1])
            moments = [np.sum(values**k) / order for k in range(1, 5)]
            np.testing.assert_allclose(table["powers"][i, seed], moments, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(table["extremes"][i, seed], values[[-1, 0]], rtol=1e-8)
            np.testing.assert_allclose(
                table["outliers"][i, seed], np.linalg.eigvalsh(H)[:-3:-1], rtol=1e-8
            )
            assert table["trace"][i, seed] == pytest.approx(moments[0])
            assert table["square"][i, seed] == pytest.approx(moments[1])
            if size == GRID.spectrum_batch_size and seed < GRID.spectra:
                kept = np.delete(values, np.argsort(np.abs(values))[: len(values) - order])
                np.testing.assert_allclose(table["noise_eigenvalues"][seed], kept, atol=1e-12)
        for seed, (A, B) in enumerate(zip(matrices, matrices[1:] + matrices[:1], strict=True)):
            aabb, abab = np.trace(A @ A @ B @ B) / order, np.trace(A @ B @ A @ B) / order
            np.testing.assert_allclose(table["pair_aabb"][i, seed], aabb, rtol=1e-9)
            np.testing.assert_allclose(table["pair_abab"][i, seed], abab, rtol=1e-9, atol=1e-12)
    assert table["residuals"].max() < 1e-8
    np.testing.assert_allclose(table["overlaps"].sum(1), order, rtol=1e-5)


def test_too_little_memory_is_refused(noise):
    _, network, inputs, targets = noise
    with pytest.raises(UserError, match=r"noise\.memory_mb"):
        measure_noise(
            "run", 1, 7, network, F.cross_entropy, inputs, targets, GRID, None, memory_mb=0.1
        )


def moments(matrices, order):
    """Traces of the first four powers over `order`, on a new last axis."""
    powers = [np.linalg.matrix_power(matrices, k) for k in range(1, 5)]
    return np.stack([np.trace(p, axis1=-2, axis2=-1) for p in powers], axis=-1) / order


@pytest.mark.parametrize("seed", [0, 1])
def test_cumulants_of_averages_are_exact(seed):
    """Over all batches of b examples, c_k = b^(1-k) c_k of one example: no term is missing."""
    rng = np.random.default_rng(seed)
    population = rng.standard_normal((3, 4, 4)) * rng.gamma(1, size=(3, 4, 1))
    population += population.transpose(0, 2, 1)
    population -= population.mean(0)

    def cumulants(b):
        means = [np.mean(batch, axis=0) for batch in product(population, repeat=b)]
        found = []
        for A, B in product(means, repeat=2):
            powers = [
                [np.trace(np.linalg.matrix_power(N, k)) for k in (1, 2, 3, 4)] for N in (A, B)
            ]
            aabb, abab = np.trace(A @ A @ B @ B), np.trace(A @ B @ A @ B)
            pairs = (np.array([aabb] * 2), np.array([abab] * 2))
            moments = np.array(powers)[:, 1:].mean(0)
            moments[2] -= 2 * pairs[0].mean() + pairs[1].mean()
            found.append(moments)
        return np.mean(found, axis=0)

    for b in (2, 3):
        np.testing.assert_allclose(cumulants(b), cumulants(1) * b ** -np.array([1.0, 2, 3]))


def test_estimated_cumulants_of_gaussian_noise_vanish():
    """c_3 = c_4 = 0 for any covariance, though the spectrum need not be a semicircle."""
    rng = np.random.default_rng(0)
    scale = np.sqrt(rng.gamma(0.5, size=30))
    N = scale[:, None] * np.array([goe(30, rng) for _ in range(400)]) * scale
    M = np.roll(N, -1, axis=0)
    c, error = entry_cumulants(
        moments(N, 30),
        np.einsum("sij,sji->s", N @ N, M @ M) / 30,
        np.einsum("sij,sji->s", N @ M, N @ M) / 30,
    )
    assert np.all(np.abs(c[1:]) < 4 * error[1:])
    assert c[0] > 10 * error[0]
    k = free_cumulants(moments(N, 30).mean(0))
    assert k[3] > 0.5 * k[1] ** 2  # so free cumulants of the spectrum are no test of averaging


@pytest.mark.parametrize("ratio", [0.25, 0.5, 2.0])
def test_free_cumulants_of_known_laws(ratio):
    law = MarchenkoPastur(ratio)
    expected = np.array([law.expect(lambda x, k=k: x**k) for k in range(1, 5)])
    np.testing.assert_allclose(free_cumulants(expected), ratio ** np.arange(4), rtol=1e-9)
    law = Semicircle(ratio, 0.3)
    expected = np.array([law.expect(lambda x, k=k: x**k) for k in range(1, 5)])
    np.testing.assert_allclose(free_cumulants(expected), [0.3, ratio, 0, 0], atol=1e-9)


@pytest.mark.parametrize("slope", [-0.5, -2.0, -3.0])
def test_power_law_intervals_cover_the_slope(slope):
    """Also of skewed data, and with last points that are all noise, of either sign."""
    rng = np.random.default_rng(1)
    b, covered = np.array([8.0, 32, 128, 512, 2048]), 0
    truth = 5 * b[:, None] ** slope
    for _ in range(150):
        skewed = rng.lognormal(-0.5, 1.0, (5, 12))
        noise = 0.5 * (b[:, None] / 8) ** 0.4 * rng.standard_normal((5, 12))
        data = truth * (skewed + noise)
        fit = power_law(b, data.mean(1), data.std(1, ddof=1) / 12**0.5)
        covered += fit.low <= slope <= fit.high
    assert covered >= 0.9 * 150


def test_power_law_takes_negative_amplitudes():
    b = np.array([8.0, 32, 128])
    fit = power_law(b, -3 * b**-1.5, 0.01 * b**-1.5)
    assert fit.slope == pytest.approx(-1.5)
    np.testing.assert_allclose(fit.predict(b), -3 * b**-1.5, rtol=1e-6)


# -- eigenvectors ---------------------------------------------------------------------------------


def kinds(overlaps):
    return np.array(["q"] * len(overlaps))


def p_values(overlaps, order, seed=0):
    found = delocalisation(overlaps, kinds(overlaps), order, seed=seed)
    return found["isotropic/kind_p_value"][0], found["profile/kind_p_value"][0]


def test_delocalisation_is_calibrated_on_the_goe():
    rng = np.random.default_rng(2)
    p = []
    for seed in range(20):
        _, vectors = np.linalg.eigh(goe(150, rng))
        p.append(p_values(150 * vectors[:10] ** 2, 150, seed))
    assert np.mean(np.array(p) < 0.05, axis=0).max() <= 0.2
    assert np.all(np.abs(np.mean(p, axis=0) - 0.5) < 0.25)


@pytest.mark.parametrize("seed", range(3))
def test_controls_of_delocalisation(seed):
    controls = control_overlaps(300, 10, np.random.default_rng(seed))
    assert min(p_values(controls["GOE"], 300)) > 0.001
    assert max(p_values(controls["blocks"], 300)) < 0.001  # localised: must fail
    assert min(p_values(controls["blocks, random q"], 300)) > 0.001  # a random q never fails


def test_slow_profile_fails_the_isotropic_null_only():
    rng = np.random.default_rng(4)
    profile = np.exp(2 * np.sin(np.linspace(0, 3, 2000)))
    overlaps = profile / profile.mean() * haar_overlaps(2000, 10, rng)
    isotropic, smooth = p_values(overlaps, 2000)
    assert isotropic < 0.001 < smooth


def test_averaged_local_law_and_its_control():
    rng = np.random.default_rng(5)
    spectra = np.array([goe_eigenvalues(400, rng) for _ in range(4)])
    law = averaged_local_law(spectra, replicates=39, seed=0)
    assert law["p_value"] > 0.025
    assert law["control/p_value"] == 1 / 40
    assert law["control/slope"] == pytest.approx(0.5, abs=0.2)
    wandering = averaged_local_law(
        spectra * np.array([1, 1.1, 0.9, 1.05])[:, None], replicates=39, seed=0
    )
    assert wandering["p_value"] == 1 / 40  # no common density: must fail


# -- concentration --------------------------------------------------------------------------------


@pytest.mark.parametrize("damping", [0.01, 0.3])
@pytest.mark.parametrize("ratio", [0.5, 1.0])
def test_moments_of_the_resolvent(ratio, damping):
    law = MarchenkoPastur(ratio)
    m, m2 = resolvent_moments(law, np.array([damping]))
    expected = [law.expect(lambda x, k=k: (x + damping) ** -k) for k in (1, 2)]
    np.testing.assert_allclose([m[0], m2[0]], expected, rtol=1e-6)


def test_exponents_are_recovered():
    rng = np.random.default_rng(0)
    sizes, damping = [50, 100, 200], np.array([0.1, 0.3, 1.0])
    rms = np.array(sizes)[:, None] ** -1.0 * damping**-0.75
    squares = (rms[:, None] * rng.standard_normal((3, 400, 3))) ** 2
    of_size, of_damping = exponents(sizes, damping, squares, rng)
    assert of_size[1] < -1 < of_size[2]
    assert of_damping[1] < -0.75 < of_damping[2]


def test_concentration_and_its_control():
    found = concentration([40, 80, 160], 30, [0.1, 0.3, 1.0], seed=1)
    for name in ("Wishart, square", "Wishart, 1 to 2", "uniform Wishart, square"):
        assert found[f"{name}/exponents/trace"][0, 0] == pytest.approx(-1, abs=0.25)
        assert found[f"{name}/exponents/bilinear"][0, 0] == pytest.approx(-0.5, abs=0.15)
        rms = np.sqrt(found[f"{name}/bilinear"].mean(1))
        np.testing.assert_allclose(rms, found[f"{name}/predicted"], rtol=0.25)
    control = "independent diagonal/exponents"
    assert found[f"{control}/bilinear"][0, 1] > -0.3  # does not concentrate: must fail
    assert found[f"{control}/trace"][0, 1] > -1
    wishart, diagonal = found["Wishart, 1 to 2/exponents/rigidity"], found[f"{control}/rigidity"]
    assert wishart[2] < diagonal[1]
    assert diagonal[1] > 0.3


def test_rigidity_ratio_of_a_shift():
    quantiles = np.linspace(0, 1, 8)
    assert rigidity_ratio(quantiles + 0.1, quantiles) == pytest.approx(0.1 * 4 ** (1 / 3) * 4)


# -- complexity -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_invariant_integral_counts_the_one_critical_point_of_a_quadratic(seed):
    """L = w.Hw/2 + s v.w has one: its density in w is that of -s H^-1 v, normal."""
    rng = np.random.default_rng(seed)
    n, b = 4, 9
    H = goe(n, rng)
    root = rng.standard_normal((n, n))
    C, w = root @ root.T, rng.standard_normal(n)
    gradient = H @ w
    _, density = gradient_density(
        n, b, np.linalg.slogdet(C)[1], gradient @ np.linalg.solve(C, gradient)
    )
    invariant = log_integral(np.linalg.eigvalsh(H)) + 0.5 * np.log(b) + density
    inverse = np.linalg.inv(H)
    expected = multivariate_normal(np.zeros(n), inverse @ C @ inverse / b).logpdf(w) / n
    assert invariant == pytest.approx(expected)


@pytest.mark.parametrize("scale", [0.01, 10.0])
def test_only_the_invariant_integral_ignores_the_loss_scale(scale):
    table = {
        "parameters": 7,
        "dimension": 5,
        "examples": 100,
        "true_eigenvalues": np.random.default_rng(0).standard_normal(5),
        "complexity/dimension": 4,
        "complexity/log_determinant_hessian": -1.5,
        "complexity/log_determinant_gradient": -3.0,
        "complexity/gradient_quadratic": 0.2,
        "complexity/weight_norm": 2.0,
    }
    scaled = table | {
        "true_eigenvalues": scale * table["true_eigenvalues"],
        "complexity/log_determinant_hessian": -1.5 + 4 * np.log(scale),
        "complexity/log_determinant_gradient": -3.0 + 2 * 4 * np.log(scale),
    }
    full, full_scaled = noise_row(table), noise_row(scaled)
    assert full_scaled["invariant"] == pytest.approx(full["invariant"])
    moved = full_scaled["printed_on_signal"] - full["printed_on_signal"]
    assert moved == pytest.approx(np.log(scale))
    assert full["invariant_dimension"] == 4
    assert full["printed"] == -np.inf  # the atom at 0 of 2 exact zeros
    flipped = log_integral(full["loss_scale_at_sign_flip"] * table["true_eigenvalues"])
    assert flipped == pytest.approx(0, abs=1e-12)


def test_measured_complexity_terms(noise):
    table, network, inputs, targets = noise
    H, _ = autograd_hessian(network, inputs, targets)
    gradients = torch.stack(
        [autograd_hessian(network, inputs[[i]], targets[[i]])[1] for i in range(80)]
    )
    values, U = torch.linalg.eigh(torch.cov(gradients.T, correction=0))
    values, U = values[values > 1e-12], U[:, values > 1e-12]
    at = {k.removeprefix("complexity/"): v for k, v in table.items()}
    assert at["dimension"] == len(values)
    assert at["log_determinant_gradient"] == pytest.approx(float(values.log().sum()))
    assert at["log_determinant_hessian"] == pytest.approx(
        float(torch.linalg.slogdet(U.T @ H @ U)[1])
    )
    quadratic = float(((gradients.mean(0) @ U) ** 2 / values).sum())
    assert at["gradient_quadratic"] == pytest.approx(quadratic)


def test_row_of_batches_leaves_zeros_out():
    eigenvalues = np.array([[0.0, 1e-20, 2.0], [0.0, 0.5, 8.0]])
    signal = np.abs(eigenvalues) > 1e-15
    row = batches_row(eigenvalues, signal)
    assert row["printed"] == -np.inf
    assert row["printed_on_signal"] == pytest.approx((np.log(2) + np.log(4) / 2) / 2)
    assert row["low"] < row["printed_on_signal"] < row["high"]


def test_volume_of_balls():
    np.testing.assert_allclose(
        np.exp([log_ball_volume(2, 3.0), log_ball_volume(3, 2.0)]), np.pi * np.array([9, 32 / 3])
    )


# -- configuration --------------------------------------------------------------------------------


def laptop():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def test_a_run_without_noise_settings_is_refused():
    config = laptop()
    config["figures"]["universality"]["figX2"] = {"rows": [{"run": "mlp_mnist", "epoch": 1}]}
    with pytest.raises(UserError, match=r"figX2\.rows\[0\]\.run is mlp_mnist.*no noise settings"):
        check_config(config)
    config = laptop()
    config["figures"]["universality"]["tableX1"]["noise"] = [{"run": "mlp_mnist", "epoch": 1}]
    with pytest.raises(UserError, match=r"tableX1\.noise\[0\]\.run"):
        check_config(config)


def test_the_spectrum_is_of_one_of_the_batch_sizes():
    config = laptop()
    config["runs"]["mlp_mnist14"]["noise"]["spectrum_batch_size"] = 100
    with pytest.raises(UserError, match=r"noise\.spectrum_batch_size is 100.*8, 32"):
        check_config(config)
