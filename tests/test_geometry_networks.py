"""Networks with one hidden layer: derivatives against automatic differentiation, and invariants."""

import numpy as np
import pytest
import torch

from hessian_rmt.errors import UserError
from hessian_rmt.geometry.elimination import Eliminated
from hessian_rmt.geometry.networks import ACTIVATIONS, Networks

EPS = np.finfo(float).eps
SHAPES = [(5, 4, 3, 7), (3, 6, 2, 20), (16, 16, 16, 64)]  # inputs, hidden, outputs, examples
TORCH = {"tanh": torch.tanh, "relu": torch.relu, "linear": lambda z: z}


def networks(shape, activation="tanh", count=3, seed=0):
    n0, n1, n2, m = shape
    rng = np.random.default_rng(seed)
    made = Networks(
        rng.standard_normal((count, n0, m)), rng.standard_normal((count, n2, m)), n1, activation
    )
    return made, made.initial(rng)


def differentiated(made, theta):
    """Output Jacobian (B, n2 m, P), gradient and Hessian of the loss by torch."""
    n0, n1 = made.inputs.shape[1], made.hidden

    def outputs(t, x):
        first, second = t[: n1 * n0].reshape(n1, n0), t[n1 * n0 :].reshape(-1, n1)
        return second @ TORCH[made.activation](first @ x)

    def loss(t, x, y):
        return ((outputs(t, x) - y) ** 2).sum() / (2 * x.shape[1])

    arguments = [torch.from_numpy(a) for a in (theta, made.inputs, made.targets)]
    jacobian = torch.func.vmap(torch.func.jacrev(outputs))(*arguments[:2])
    gradient = torch.func.vmap(torch.func.grad(loss))(*arguments)
    hessian = torch.func.vmap(torch.func.hessian(loss))(*arguments)
    return jacobian.flatten(1, 2).numpy(), gradient.numpy(), hessian.numpy()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_derivatives_are_those_of_automatic_differentiation(shape, activation):
    made, theta = networks(shape, activation)
    jacobian, gradient, hessian = differentiated(made, theta)
    vector = np.random.default_rng(1).standard_normal(theta.shape)
    tolerance = 100 * EPS * np.abs(hessian).max() * shape[-1]
    h0, h1 = made.hessian_parts(theta)
    np.testing.assert_allclose(h0, jacobian.swapaxes(1, 2) @ jacobian / shape[-1], atol=tolerance)
    np.testing.assert_allclose(h0 + h1, hessian, atol=tolerance)
    np.testing.assert_allclose(made.hessian(theta), hessian, atol=tolerance)
    np.testing.assert_allclose(made.loss_and_gradient(theta)[1], gradient, atol=tolerance)
    loss, same_gradient, product = made.gradient_and_product(theta, vector)
    np.testing.assert_allclose(loss, made.loss(theta), rtol=10 * EPS)
    np.testing.assert_allclose(same_gradient, gradient, atol=tolerance)
    np.testing.assert_allclose(
        product, np.einsum("zij,zj->zi", hessian, vector), atol=tolerance * theta.shape[1]
    )


@pytest.mark.parametrize("shape", [(16, 16, 16, 256), (6, 9, 4, 50)])
def test_rescaling_a_relu_unit_gives_one_null_direction_of_h0(shape):
    """(w_a, v_a) -> (c w_a, v_a / c) changes no output: J^T (w_a, -v_a) = 0, one per unit."""
    n0, n1 = shape[:2]
    made, theta = networks(shape, "relu")
    h0, _ = made.hessian_parts(theta)
    directions = np.zeros((made.count, n1, theta.shape[1]))
    for a in range(n1):
        first = slice(a * n0, (a + 1) * n0)
        second = slice(n1 * n0 + a, None, n1)
        directions[:, a, first] = theta[:, first]
        directions[:, a, second] = -theta[:, second]
    values = np.linalg.eigvalsh(h0)
    floor = 10 * EPS * theta.shape[1] * values.max()
    assert np.abs(h0 @ directions.swapaxes(1, 2)).max() < floor
    assert ((values < floor).sum(axis=1) == n1).all()
    assert (values[:, n1] > 1e6 * floor).all()


def test_other_activations_have_no_such_direction():
    made, theta = networks((6, 6, 6, 50), "tanh")
    values = np.linalg.eigvalsh(made.hessian_parts(theta)[0])
    assert values.min() > 1e-8


@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_h1_is_block_off_diagonal_without_second_derivatives(activation):
    """`geometry` (23), with residuals in whose place noise is put."""
    made, theta = networks((5, 4, 3, 30), activation)
    noise = np.random.default_rng(2).standard_normal(made.targets.shape)
    h1 = Networks(made.inputs, made.targets, 4, activation, noise).hessian_parts(theta)[1]
    mask = (theta[:, :20].reshape(-1, 4, 5) @ made.inputs > 0) | (activation == "linear")
    block = np.zeros((3, 4, 5, 3, 4))
    for a in range(4):
        block[:, a, :, :, a] = np.einsum("zcm,zm,zbm->zbc", noise, mask[:, a], made.inputs) / 30
    np.testing.assert_allclose(h1[:, :20, 20:], block.reshape(3, 20, 12), atol=100 * EPS)
    assert not h1[:, :20, :20].any()
    assert not h1[:, 20:, 20:].any()
    values = np.linalg.eigvalsh(h1)
    np.testing.assert_allclose(values, -values[:, ::-1], atol=100 * EPS)


def test_h0_and_its_sum_do_not_depend_on_which_networks_are_together():
    made, theta = networks((5, 5, 5, 20), count=5)
    whole = made.hessian(theta)
    for i in range(5):
        np.testing.assert_array_equal(
            made.take(slice(i, i + 1)).hessian(theta[i : i + 1])[0], whole[i]
        )


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(5, 4, 3, 30), (16, 16, 16, 48)])
def test_elimination_gives_the_schur_complement_and_the_same_index(shape, activation):
    made, theta = networks(shape, activation)
    eliminated = Eliminated(made)
    at = eliminated.at(eliminated.first_layer(theta))
    full = eliminated.parameters(at)
    loss, gradient = made.loss_and_gradient(full)
    hessian = made.hessian(full)
    s = shape[0] * shape[1]
    schur = hessian[:, :s, :s] - hessian[:, :s, s:] @ np.linalg.solve(
        hessian[:, s:, s:], hessian[:, s:, :s]
    )
    condition = np.linalg.cond(hessian[:, s:, s:]).max()
    tolerance = 1e3 * EPS * condition * np.abs(hessian).max()
    np.testing.assert_allclose(at.loss, loss, rtol=tolerance)
    np.testing.assert_allclose(gradient[:, s:], 0, atol=tolerance)
    np.testing.assert_allclose(at.gradient, gradient[:, :s], atol=tolerance)
    reduced = eliminated.hessian(at)
    np.testing.assert_allclose(reduced, schur, atol=tolerance)
    assert (at.loss <= made.loss(theta)).all()
    if activation == "tanh":  # the others have exact zeros, of either sign after round-off
        np.testing.assert_array_equal(
            (np.linalg.eigvalsh(reduced) < 0).sum(1), (np.linalg.eigvalsh(hessian) < 0).sum(1)
        )


def test_a_singular_second_layer_has_infinite_loss_there_alone():
    made, theta = networks((4, 4, 2, 30))
    first = Eliminated(made).first_layer(theta)
    first[1, :8] = 0  # two dead units
    loss = Eliminated(made).at(first).loss
    assert np.isinf(loss[1])
    assert np.isfinite(loss[[0, 2]]).all()


def test_bad_input_gets_a_sentence():
    x = np.zeros((2, 3, 5))
    with pytest.raises(UserError, match="no activation 'sine'"):
        Networks(x, x, 3, "sine")
    with pytest.raises(UserError, match="shapes"):
        Networks(x, np.zeros((2, 3, 6)), 3)
