"""Theorems 8.1 and 8.2: corrected variance against simulation, kernels recovered, bounds."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hessian_rmt.curvature.iterates import blocks, iterate_table
from hessian_rmt.generalisation.iterates import (
    covariance_trace,
    fit_kernel,
    iterate_statistics,
    kernel_p_value,
)
from hessian_rmt.generalisation.quadratic import (
    NOISE,
    descend,
    eigenvalues,
    quadratic_statistics,
    variance_of_average,
    variance_of_iterate,
)


class Quiet:
    def progress(self, items, *, label, total=None):
        return iter(items)


# Theorem 8.1 --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulated():
    return quadratic_statistics(
        dimension=6, steps=[20, 200, 2000], learning_rates=[0.1, 0.3, 0.9], samples=300, seed=3
    )


def test_the_corrected_variance_is_simulated_and_the_printed_one_is_not(simulated):
    assert simulated["exact/p_value"] > 0.001
    assert simulated["printed/p_value"] < 1e-10
    slope, low, high = simulated["exponent"]
    assert low < simulated["exact_exponent"] < high
    assert high < 0.2, "the printed exponent is 1"
    assert abs(slope) < 0.2


def test_all_exact_variances_are_simulated(simulated):
    for name in ("iterate", "average"):
        low, high = np.moveaxis(simulated[f"{name}/interval"], -1, 0)
        deviation = (simulated[f"{name}/variance"] - simulated[f"{name}/exact"]) / (high - low)
        assert np.abs(deviation).max() < 1.1, "4.3 standard errors"


def test_corrected_is_the_limit_of_exact():
    lam = eigenvalues(9)
    for alpha in (0.05, 0.5):
        for n in (10**3, 10**5):
            exact = variance_of_average(lam, alpha, n, "exact")
            corrected = variance_of_average(lam, alpha, n, "corrected")
            # the sum of (1 - rho^m)^2 falls short of n by less than 2 / (alpha lambda)
            assert 0 <= 1 - exact / corrected < 2 / (n * alpha * lam.min())
            printed = variance_of_average(lam, alpha, n, "printed")
            assert printed == pytest.approx(alpha * corrected)


def test_exact_variances_are_those_of_the_recursion():
    """The covariance matrix of (w_1, ..., w_n), propagated, for one coordinate."""
    for alpha, lam, n in ((0.3, 0.7, 5), (0.9, 1.0, 12)):
        rho = 1 - alpha * lam
        k, j = np.meshgrid(np.arange(1, n + 1), np.arange(n), indexing="ij")
        response = np.where(j < k, -alpha * rho ** np.maximum(k - 1 - j, 0), 0.0)
        covariance = NOISE * response @ response.T
        one = np.array([lam])
        assert variance_of_average(one, alpha, n, "exact") == pytest.approx(covariance.mean())
        assert variance_of_iterate(one, alpha, n) == pytest.approx(covariance[-1, -1])


def test_the_average_is_the_mean_of_the_iterates():
    lam, steps = eigenvalues(3), [1, 2, 3, 4, 5]
    iterates, averages = descend(lam, 0.4, steps, 2, np.random.default_rng(0))
    for n in steps:
        np.testing.assert_allclose(averages[n - 1], iterates[:n].mean(0), rtol=1e-13)


# Theorem 8.2 --------------------------------------------------------------------------------------


def gaussian_process_gradients(w, length, count, rng):
    """Gradients at the points w (E, P) of `count` processes with a squared-exponential kernel.

    Random Fourier features: f(w) = sqrt(2 / M) sum_m cos(omega_m w + phase_m) has it in the mean.
    """
    features = 500
    gradients = np.empty((count, *w.shape))
    for i in range(count):
        omega = rng.standard_normal((features, w.shape[1])) / length
        phase, weight = rng.uniform(0, 2 * np.pi, features), rng.standard_normal(features)
        slope = -np.sin(w @ omega.T + phase) * weight
        gradients[i] = np.sqrt(2 / features) * slope @ omega
    return gradients


def table_of(gradients, w):
    centred = gradients - gradients.mean(0)
    covariance = np.einsum("kip,kjp->kij", centred, centred) / w.shape[1]
    distance = np.linalg.norm(w[:, None] - w[None], axis=2)
    return {
        "epoch": np.arange(1, len(w) + 1),
        "distance": distance,
        "covariance": covariance * len(gradients) / (len(gradients) - 1),
        "parameters": w.shape[1],
    }


@pytest.fixture(scope="module")
def process():
    rng = np.random.default_rng(19)
    w = np.cumsum(rng.standard_normal((4, 30)) * 0.15, axis=0)
    return table_of(gaussian_process_gradients(w, 1.5, 150, rng), w)


def test_the_kernel_of_a_gaussian_process_is_recovered(process):
    statistics = iterate_statistics(process, seed=1)
    low, high = statistics["length_interval"]
    assert low < 1.5 < high
    assert statistics["variance"] == pytest.approx(1 / 1.5**2, rel=0.1)
    assert statistics["kernel_p_value"] > 0.01
    # (19) with the kernel's covariances, A_i the identity, is the left-hand side in expectation
    np.testing.assert_allclose(statistics["bound"], statistics["measured"], rtol=0.15)
    assert np.all(statistics["measured"] >= statistics["independent"] * 0.9)


def test_covariances_that_grow_along_the_path_are_no_stationary_kernel(process):
    growth = np.array([1.0, 1.5, 2.2, 3.0])
    grown = process | {"covariance": process["covariance"] * np.outer(growth, growth)}
    assert iterate_statistics(grown, seed=1)["kernel_p_value"] < 1e-3


def test_exact_kernels_are_fitted():
    distance = np.array([0.0, 0.0, 1.0, 2.0, 3.0])
    for length in (0.8, 2.5):
        values = covariance_trace(distance, 0.3, np.array(length), 50)
        variance, found = fit_kernel(distance, values, 50)
        assert variance == pytest.approx(0.3, rel=1e-2)
        assert found == pytest.approx(length, rel=0.02)  # the grid's step is 2 %
    assert np.isnan(kernel_p_value(distance, np.ones((3, 5)), 50))


def test_covariances_of_gradients_are_those_of_all_gradients():
    """Two passes over blocks against numpy's covariance of stored gradients."""
    torch.manual_seed(0)
    networks = [nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)) for _ in range(3)]
    inputs, targets = torch.randn(26, 4), torch.randint(2, (26,))
    examples = blocks(inputs, targets, 5)
    assert [len(x) for x, _ in examples] == [5] * 5, "what is left over is left out"
    table = iterate_table(networks, F.cross_entropy, examples, Quiet())
    gradients = np.empty((5, 3, table["parameters"]))
    for k, (x, y) in enumerate(examples):
        for i, network in enumerate(networks):
            network.zero_grad()
            F.cross_entropy(network(x), y).backward()
            flat = torch.cat([p.grad.flatten() for p in network.parameters()])
            gradients[k, i] = flat.double().numpy()
    for i in range(3):
        for j in range(3):
            pairs = zip(gradients[:, i].T, gradients[:, j].T, strict=True)
            trace = sum(np.cov(a, b)[0, 1] for a, b in pairs)
            expected = trace / table["parameters"]
            assert table["covariance"][:, i, j].mean() == pytest.approx(expected, rel=1e-9)
    flat = [torch.cat([p.flatten() for p in n.parameters()]).detach().double() for n in networks]
    assert table["distance"][0, 2] == pytest.approx(float((flat[0] - flat[2]).norm()), rel=1e-12)
    np.testing.assert_array_equal(np.diag(table["distance"]), 0)
