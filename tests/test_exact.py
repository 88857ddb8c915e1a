"""Theorems about the exact spectrum: the reduced problem has all of the Hessian's eigenvalues."""

import copy
import io

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hessian_rmt.curvature import exact, exact_blocks, exact_spectrum
from hessian_rmt.curvature.exact_batches import KINDS, exact_spectra
from hessian_rmt.curvature.exact_reduction import as_perceptron, contrast_basis, reduce
from hessian_rmt.errors import UserError
from hessian_rmt.jobs import Log
from hessian_rmt.networks.mlp import mlp

FEATURES, CLASSES = 7, 4

# name: hidden widths, activation, bias, examples
PERCEPTRONS = {
    "softmax": ((), "relu", True, 9),
    "softmax, more examples than inputs": ((), "relu", False, 60),
    "one hidden layer": ((5,), "relu", True, 6),
    "two hidden layers": ((5, 4), "relu", True, 6),
    "three hidden layers": ((4, 6, 5), "relu", True, 12),
    "a single unit between": ((3, 1, 5), "relu", True, 30),
    "tanh": ((5, 4), "tanh", True, 6),
    "tanh, deep, no bias": ((3, 4, 5, 6), "tanh", False, 6),
    "compressed, middle layer": ((20, 20, 2), "relu", False, 4),
    "compressed, after the first": ((2, 20, 20), "relu", True, 6),
}


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def problem(hidden, activation, bias, examples, seed=0):
    torch.manual_seed(seed)
    network = mlp((FEATURES,), CLASSES, hidden=hidden, activation=activation, bias=bias)
    inputs = torch.randn(examples, FEATURES).clamp_min(0)
    inputs[:, 2] = 0
    return network, inputs, torch.randint(0, CLASSES, (examples,))


def dense_hessian(network, loss, inputs, targets):
    """The P x P matrix by torch.func, sharing no code with what is tested."""
    network = copy.deepcopy(network)  # functional_call leaves tensors of its own in shared layers
    weights = {name: p.detach().double() for name, p in network.named_parameters()}
    shapes = [p.shape for p in weights.values()]

    def value(flat):
        pieces = flat.split([s.numel() for s in shapes])
        named = {k: p.view(s) for k, p, s in zip(weights, pieces, shapes, strict=True)}
        return loss(torch.func.functional_call(network, named, (inputs.double(),)), targets)

    flat = torch.cat([p.flatten() for p in weights.values()])
    return torch.func.hessian(value)(flat).numpy()


def assert_spectrum_of(spectrum, H):
    """Eigenvalues, trace, Frobenius norm, kinds."""
    expected = np.linalg.eigvalsh(H)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(spectrum.eigenvalues, expected, rtol=0, atol=1e-13 * scale)
    np.testing.assert_allclose(spectrum.eigenvalues.sum(), np.trace(H), rtol=1e-11)
    np.testing.assert_allclose((spectrum.eigenvalues**2).sum(), (H**2).sum(), rtol=1e-11)
    kinds = {k: int((spectrum.kind == k).sum()) for k in np.unique(spectrum.kind)}
    assert set(kinds) <= {"signal", "structural_zero", "round_off"}
    assert sum(kinds.values()) == len(H) == len(spectrum.eigenvalues)
    assert kinds.get("structural_zero", 0) == len(H) - spectrum.dimension
    assert kinds.get("signal", 0) == (np.abs(expected) > 1e-13 * scale).sum()


def assert_eigenvectors_of(spectrum, H):
    V, values = spectrum.vectors, spectrum.vector_values
    assert V.shape == (len(H), spectrum.dimension)
    np.testing.assert_allclose(V.T @ V, np.eye(V.shape[1]), atol=1e-12)
    np.testing.assert_allclose(H @ V, V * values, atol=1e-10 * np.abs(H).max())


@pytest.mark.parametrize("name", PERCEPTRONS)
def test_the_reduced_problem_has_the_hessians_spectrum(name):
    network, x, y = problem(*PERCEPTRONS[name])
    H = dense_hessian(network, F.cross_entropy, x, y)
    assert_spectrum_of(exact_spectrum(network, F.cross_entropy, x, y), H)


@pytest.mark.parametrize("name", PERCEPTRONS)
def test_eigenvectors_are_the_hessians_own(name):
    network, x, y = problem(*PERCEPTRONS[name])
    H = dense_hessian(network, F.cross_entropy, x, y)
    assert_eigenvectors_of(exact_spectrum(network, F.cross_entropy, x, y, vectors=True), H)


@pytest.mark.parametrize("name", PERCEPTRONS)
def test_micro_batches_add_up_to_the_batch(name):
    network, x, y = problem(*PERCEPTRONS[name])
    whole = exact_spectrum(network, F.cross_entropy, x, y)
    cut = exact_spectrum(network, F.cross_entropy, x, y, micro_batch=5)
    pairs = exact_spectrum(network, F.cross_entropy, list(zip(x.split(4), y.split(4), strict=True)))
    for other in (cut, pairs):
        np.testing.assert_allclose(other.eigenvalues, whole.eigenvalues, rtol=0, atol=1e-13)
        assert other.dimension == whole.dimension


class _Scaled(nn.Sequential):
    """Not a plain Sequential, so of unknown structure."""


def general_networks():
    torch.manual_seed(3)
    conv = nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8, 3),
        nn.Tanh(),
        nn.Linear(3, CLASSES),
    )
    image = torch.randn(5, 1, 4, 4)
    flat = torch.randn(5, FEATURES)
    sigmoid = nn.Sequential(nn.Linear(FEATURES, 3), nn.Sigmoid(), nn.Linear(3, CLASSES))
    unknown = _Scaled(nn.Linear(FEATURES, 3), nn.ReLU(), nn.Linear(3, CLASSES))
    shared = nn.Linear(FEATURES, FEATURES)
    twice = nn.Sequential(shared, nn.ReLU(), shared)
    return {
        "convolution": (conv, F.cross_entropy, image),
        "sigmoid": (sigmoid, F.cross_entropy, flat),
        "unknown structure": (unknown, F.cross_entropy, flat),
        "shared layer": (twice, F.cross_entropy, flat),
        "another loss": (mlp((FEATURES,), CLASSES, hidden=(5,)), nn.CrossEntropyLoss(), flat),
    }


@pytest.mark.parametrize("name", general_networks())
def test_any_network_has_its_exact_spectrum(name):
    network, loss, x = general_networks()[name]
    y = torch.randint(0, CLASSES, (len(x),))
    H = dense_hessian(network, loss, x, y)
    assert_spectrum_of(exact_spectrum(network, loss, x, y), H)
    assert_eigenvectors_of(exact_spectrum(network, loss, x, y, vectors=True, micro_batch=2), H)


def test_class_probabilities_take_the_general_path():
    network, x, y = problem((5,), "relu", True, 6)
    soft = torch.full((6, CLASSES), 0.05).scatter(1, y[:, None], 0.85).double()
    H = dense_hessian(network, F.cross_entropy, x, soft)
    assert_spectrum_of(exact_spectrum(network, F.cross_entropy, x, soft), H)


# -- structural zeros -----------------------------------------------------------------------------


def test_softmax_regression_keeps_contrasts_times_span():
    network, x, y = problem((), "relu", True, 50)
    # 6 inputs vary, one is zero throughout; with the bias a span of 7
    spectrum = exact_spectrum(network, F.cross_entropy, x, y)
    assert spectrum.dimension == (CLASSES - 1) * 7
    few = exact_spectrum(network, F.cross_entropy, x[:3], y[:3])
    assert few.dimension == (CLASSES - 1) * 3


def test_a_logit_shift_is_a_zero_per_last_hidden_unit_and_bias():
    network, x, y = problem((5,), "tanh", True, 40)
    spectrum = exact_spectrum(network, F.cross_entropy, x, y)
    # tanh leaves no unit dead: one constant input per unit, and the shift
    assert (spectrum.kind == "structural_zero").sum() == 5 + (5 + 1)


def test_a_dead_unit_takes_its_weights_in_and_out_with_it():
    network, x, y = problem((5,), "tanh", True, 40)
    relu = nn.Sequential(network[0], network[1], nn.ReLU(), network[3])
    with torch.no_grad():
        relu[1].bias.fill_(9.0)
        alive = exact_spectrum(relu, F.cross_entropy, x, y).dimension
        relu[1].bias[0] = -100.0
    dead = exact_spectrum(relu, F.cross_entropy, x, y).dimension
    # its 7 weights (one input is constantly zero) with bias, and its CLASSES - 1 contrasts out
    assert alive - dead == 7 + CLASSES - 1


def test_units_never_active_together_drop_their_weight():
    torch.manual_seed(0)
    network = mlp((2,), 3, hidden=(2, 2))
    with torch.no_grad():
        network[1].weight.copy_(torch.eye(2))
        network[1].bias.zero_()
        network[3].weight.copy_(torch.eye(2))
        network[3].bias.fill_(-0.5)
    x, y = torch.eye(2), torch.tensor([0, 1])
    perceptron = as_perceptron(network, x)
    reduction, _ = reduce(perceptron, x.double(), y, 2)
    assert reduction.kept[0].tolist() == [[True, False, True], [False, True, True]]
    H = dense_hessian(network, F.cross_entropy, x, y)
    assert_spectrum_of(exact_spectrum(network, F.cross_entropy, x, y), H)


def test_duplicated_examples_do_not_raise_the_rank():
    network, x, y = problem((5,), "relu", True, 3)
    spectrum = exact_spectrum(network, F.cross_entropy, x.repeat(2, 1), y.repeat(2))
    once = exact_spectrum(network, F.cross_entropy, x, y)
    assert spectrum.dimension == once.dimension
    dropped, smallest = spectrum.rank_gap
    assert dropped < 1e-14 < 1e-3 < smallest


@pytest.mark.parametrize("name", PERCEPTRONS)
def test_the_isometry_is_one(name):
    network, x, y = problem(*PERCEPTRONS[name])
    reduction, batch = reduce(as_perceptron(network, x), x.double(), y, 4)
    T = reduction.extend(torch.eye(sum(reduction.sizes), dtype=torch.float64))
    assert T.shape == (sum(p.numel() for p in network.parameters()), sum(reduction.sizes))
    torch.testing.assert_close(T.T @ T, torch.eye(T.shape[1]).double(), rtol=0, atol=1e-13)
    # and H lives on its range
    H = torch.from_numpy(dense_hessian(network, F.cross_entropy, x, y))
    torch.testing.assert_close(T @ (T.T @ H), H, rtol=0, atol=1e-13)
    blocks = exact_blocks.assemble(as_perceptron(network, x), reduction, batch, 4)
    K = exact_blocks.join(blocks).triu()
    torch.testing.assert_close(K, (T.T @ H @ T).triu(), rtol=0, atol=1e-13)


@pytest.mark.parametrize("classes", [1, 2, 5, 10])
def test_contrasts_are_an_orthonormal_basis_of_sums_zero(classes):
    V = contrast_basis(classes)
    torch.testing.assert_close(V.T @ V, torch.eye(classes - 1).double())
    assert V.sum(0).abs().max() < 1e-14 if classes > 1 else V.shape == (1, 0)


def test_a_compression_happens_where_it_is_tested():
    for name, compressed in {"compressed, middle layer": True, "two hidden layers": False}.items():
        network, x, y = problem(*PERCEPTRONS[name])
        reduction, _ = reduce(as_perceptron(network, x), x.double(), y, 4)
        spectrum = exact_spectrum(network, F.cross_entropy, x, y)
        assert (spectrum.dimension < sum(reduction.sizes)) == compressed


# -- round-off ------------------------------------------------------------------------------------


def test_the_plain_path_is_the_control_arm():
    """Its zeros come out of the solver, non-zero, past the published cut of 1e-20."""
    network, x, y = problem((10, 20), "relu", True, 6)
    plain = exact_spectrum(network, F.cross_entropy, x, y, reduce=False)
    reduced = exact_spectrum(network, F.cross_entropy, x, y)
    assert plain.dimension == len(plain.eigenvalues)
    assert set(plain.kind) == {"signal", "round_off"}
    noise = plain.eigenvalues[plain.kind == "round_off"]
    assert (np.abs(noise) > 1e-20).sum() > 10
    assert np.abs(noise).max() <= plain.floor < 1e-10
    assert (reduced.kind == "structural_zero").sum() > 0.8 * len(noise)
    scale = np.abs(plain.eigenvalues).max()
    np.testing.assert_allclose(reduced.eigenvalues, plain.eigenvalues, rtol=0, atol=1e-13 * scale)


def test_the_factor_resolves_eigenvalues_below_eps():
    """A matrix's solver knows 2.9e-20 beside 0.25 to nothing; a factor has 1.7e-10 beside 0.5."""
    network = nn.Sequential(nn.Linear(2, 2, bias=False)).double()
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[0.0, 45.0], [0.0, 0.0]]))
    x, y = torch.eye(2).double(), torch.tensor([0, 1])
    spectrum = exact_spectrum(network, F.cross_entropy, x, y)
    q = np.exp(-45.0) / (1 + np.exp(-45.0)) ** 2
    signal = spectrum.eigenvalues[spectrum.kind == "signal"]
    np.testing.assert_allclose(signal, [q, 0.25], rtol=1e-5)
    assert spectrum.floor < 1e-30


# -- what comes in --------------------------------------------------------------------------------


def test_the_network_is_left_alone():
    network, x, y = problem((5,), "relu", True, 6)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    for reduced in (True, False):
        exact_spectrum(network, F.cross_entropy, x, y, reduce=reduced)
    after = network.state_dict()
    assert all(
        torch.equal(before[k], after[k]) and after[k].dtype == before[k].dtype for k in before
    )


@pytest.mark.parametrize("hidden", [(), (5,), (5, 4)])
def test_one_example_and_one_class_work(hidden):
    network, x, y = problem(hidden, "relu", True, 6)
    for inputs, targets in ((x[:1], y[:1]), (x, torch.zeros_like(y))):
        H = dense_hessian(network, F.cross_entropy, inputs, targets)
        assert_spectrum_of(exact_spectrum(network, F.cross_entropy, inputs, targets), H)


def test_a_single_logit_has_no_curvature():
    network = mlp((3,), 1, hidden=(4,))
    y = torch.zeros(5, dtype=torch.long)
    spectrum = exact_spectrum(network, F.cross_entropy, torch.rand(5, 3), y)
    assert np.all(spectrum.eigenvalues == 0)


@pytest.mark.parametrize("reduced", [True, False])
def test_a_network_too_large_is_refused_with_what_it_would_need(reduced):
    network, x, y = problem((5,), "tanh", True, 6)
    parameters = sum(p.numel() for p in network.parameters())
    with pytest.raises(UserError, match=rf"{parameters} parameters .* MB.*Lanczos.*`density`"):
        exact_spectrum(network, F.cross_entropy, x, y, reduce=reduced, memory_mb=0.001)
    convolution = nn.Sequential(nn.Conv2d(3, 64, 3), nn.Flatten(), nn.Linear(57600, 1000))
    with pytest.raises(UserError, match="57,602,792 parameters"):
        exact_spectrum(
            convolution, F.cross_entropy, torch.rand(2, 3, 32, 32), y[:2], reduce=reduced
        )


def test_nan_is_refused_by_name():
    network, x, y = problem((5,), "relu", True, 6)
    with pytest.raises(UserError, match=r"inputs hold NaN"):
        exact_spectrum(network, F.cross_entropy, x / 0, y)
    with torch.no_grad():
        network[3].weight[0, 0] = float("nan")
    with pytest.raises(UserError, match=r"weights '3.weight' hold NaN"):
        exact_spectrum(network, F.cross_entropy, x, y)


def test_nothing_to_average_over_is_refused():
    network, x, y = problem((5,), "relu", True, 6)
    for arguments in ((x[:0], y[:0]), (x, y[:3]), ([], None), ([(x, y)], y)):
        with pytest.raises(ValueError):
            exact_spectrum(network, F.cross_entropy, *arguments)


def test_the_memory_sentence_names_the_reduced_order():
    with pytest.raises(UserError, match=r"matrix of order 50,000 and 57,220 MB"):
        exact._Limits(60_000, 12_000.0, vectors=False).refuse(50_000)


# Files of spectra ---------------------------------------------------------------------------------


def test_addresses_name_batches_plain_batches_and_the_whole_split():
    network, x, y = problem((5,), "relu", True, 23)
    log = Log(io.StringIO())

    def spectra(address):
        return exact_spectra(address, network, F.cross_entropy, x, y, 6, log, memory_mb=100)

    batches = spectra("batches-0001-0002")
    assert batches["batch"].tolist() == [1, 2]
    for eigenvalues, kind, start in zip(
        batches["eigenvalues"], batches["kind"], (6, 12), strict=True
    ):
        part = slice(start, start + 6)
        alone = exact_spectrum(network, F.cross_entropy, x[part], y[part])
        np.testing.assert_array_equal(eigenvalues, alone.eigenvalues)
        assert [KINDS[code] for code in kind] == list(alone.kind)
    plain = spectra("plain-0001-0001")
    assert not (plain["kind"] == KINDS.index("structural_zero")).any()
    np.testing.assert_allclose(plain["eigenvalues"][0], batches["eigenvalues"][0], atol=1e-13)
    whole = exact_spectrum(network, F.cross_entropy, x, y)
    np.testing.assert_array_equal(spectra("full")["eigenvalues"], whole.eigenvalues[None])
    with pytest.raises(UserError, match="batch 3 of 6 examples ends at example 24"):
        spectra("batches-0002-0003")
