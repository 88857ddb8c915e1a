"""Products with the Hessian against a dense Hessian of the unchanged network, by two other ways."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from hessian_rmt.curvature import HessianOperator
from hessian_rmt.curvature.hessian import examples_within
from hessian_rmt.curvature.input_span import restrict_to_input_span
from hessian_rmt.networks.mlp import mlp

CLASSES = 3

pytestmark = [
    # A batch of zeros leaves no input: a layer of width 0.
    pytest.mark.filterwarnings("ignore:Initializing zero-element tensors"),
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated"),
]


def cross_entropy(outputs, targets):
    return functional.cross_entropy(outputs, targets)


def squared_error(outputs, targets):
    return functional.mse_loss(outputs, functional.one_hot(targets, CLASSES).to(outputs))


class Tied(nn.Module):
    """One layer used twice, and its weights once more transposed."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(6, 6), nn.Linear(6, CLASSES)

    def forward(self, x):
        hidden = torch.tanh(self.first(torch.tanh(self.first(x))))
        return self.last(hidden @ self.first.weight)


class Idle(nn.Module):
    """A matrix and a vector on which the loss does not depend, between layers on which it does."""

    def __init__(self):
        super().__init__()
        self.first, self.idle, self.last = nn.Linear(6, 4), nn.Linear(3, 2), nn.Linear(4, CLASSES)

    def forward(self, x):
        return self.last(torch.tanh(self.first(x)))


def conv():
    return nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Tanh(), nn.Flatten(), nn.Linear(12, CLASSES)
    ).eval()


def first_layer_used_twice():
    layer = nn.Linear(6, 6)
    return nn.Sequential(layer, nn.Tanh(), layer, nn.Tanh(), nn.Linear(6, CLASSES))


def first_weight_tied():
    network = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6), nn.Linear(6, CLASSES))
    network[2].weight = network[0].weight
    return network


def first_bias_tied():
    network = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6), nn.Linear(6, CLASSES))
    network[2].bias = network[0].bias
    return network


NETWORKS = {
    "relu": (lambda: mlp((6,), CLASSES, hidden=(5, 4)), (6,)),
    "tanh": (lambda: mlp((6,), CLASSES, hidden=(5,), activation="tanh"), (6,)),
    "regression": (lambda: mlp((6,), CLASSES), (6,)),
    "no bias": (lambda: mlp((6,), CLASSES, hidden=(4,), activation="tanh", bias=False), (6,)),
    "image": (lambda: mlp((1, 3, 4), CLASSES, hidden=(4,)), (1, 3, 4)),
    "conv": (conv, (2, 4, 4)),
    "tied": (Tied, (6,)),
    "layer twice": (first_layer_used_twice, (6,)),
    "weight tied": (first_weight_tied, (6,)),
    "bias tied": (first_bias_tied, (6,)),
    "idle": (Idle, (6,)),
}


def problem(name, *, examples, dtype=torch.float64, seed=0):
    """A network of `NETWORKS` with weights of order one, inputs and targets."""
    torch.manual_seed(seed)
    build, shape = NETWORKS[name]
    network = build().to(dtype)
    inputs = torch.randn(examples, *shape, dtype=torch.float64).to(dtype)
    return network, inputs, torch.randint(CLASSES, (examples,))


def wide_inputs(kind, *, units=4, dtype=torch.float64):
    """A perceptron on 12 inputs, and data of a kind that `restrict_to_input_span` tells apart."""
    torch.manual_seed(3)
    examples = {"batch spans less": 4, "twice one example": 4, "one example": 1, "zero example": 1}
    x = torch.randn(examples.get(kind, 20), 12, dtype=torch.float64)
    if kind == "twice one example":
        x[1] = x[0]
    if kind in ("zero pixels", "zero and constant pixels"):
        x[:, 2:5] = 0
    if kind in ("constant pixels", "zero and constant pixels"):
        x[:, 6:9] = torch.tensor([0.5, -2.0, 100.0], dtype=torch.float64)
    if kind == "all constant":
        x[:] = x[0].clone()
    if kind == "zero example":
        x[:] = 0
    y = torch.randint(CLASSES, (len(x),))
    hidden = (units,) if units else ()
    return mlp((12,), CLASSES, hidden=hidden, activation="tanh").to(dtype), x.to(dtype), y


# The number of inputs that remain of 12.
REMAINING = {
    "batch spans less": 4,
    "twice one example": 4,
    "one example": 1,
    "zero example": 0,
    "zero pixels": 9,
    "constant pixels": 10,
    "zero and constant pixels": 7,
    "all constant": 1,
    "full": 12,
}


def dense_hessian(network, loss, inputs, targets):
    """The Hessian in float64, by forward over reverse differentiation of one flat vector."""
    network = copy.deepcopy(network).double()
    inputs = inputs.double()
    named = dict(network.named_parameters())
    sizes = [p.numel() for p in named.values()]

    def value(flat):
        pieces = zip(named.items(), flat.split(sizes), strict=True)
        weights = {name: piece.reshape(p.shape) for (name, p), piece in pieces}
        return loss(torch.func.functional_call(network, weights, (inputs,)), targets)

    flat = torch.cat([p.detach().flatten() for p in named.values()])
    return torch.func.hessian(value)(flat).numpy()


def double_backward(network, loss, inputs, targets):
    """The Hessian row by row, from the gradient's gradient."""
    parameters = list(network.parameters())
    gradient = torch.autograd.grad(loss(network(inputs), targets), parameters, create_graph=True)
    rows = [
        torch.autograd.grad(entry, parameters, retain_graph=True, materialize_grads=True)
        for entry in torch.cat([g.flatten() for g in gradient])
    ]
    return torch.stack([torch.cat([g.flatten() for g in row]) for row in rows]).numpy()


def round_off(dtype, dense, terms=500):
    """Backward error of a product: rounding in each of some `terms` operations in a row."""
    return terms * torch.finfo(dtype).eps * max(np.linalg.norm(dense, 2), 1e-3)


def columns(operator):
    return operator.matmat(np.eye(operator.shape[0]))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("loss", [cross_entropy, squared_error])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("examples", [1, 2, 17])
def test_products_are_those_of_the_dense_hessian(name, loss, dtype, examples):
    network, x, y = problem(name, examples=examples, dtype=dtype)
    dense = dense_hessian(network, loss, x, y)
    operator = HessianOperator(network, loss, x, y)
    assert operator.shape == dense.shape
    assert operator.dtype == dtype
    np.testing.assert_allclose(columns(operator), dense, rtol=0, atol=round_off(dtype, dense))


@pytest.mark.parametrize("kind", REMAINING)
@pytest.mark.parametrize("units", [0, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_restriction_to_the_inputs_span_changes_nothing(kind, units, dtype):
    network, x, y = wide_inputs(kind, units=units, dtype=dtype)
    dense = dense_hessian(network, cross_entropy, x, y)
    operator = HessianOperator(network, cross_entropy, x, y)
    first = units or CLASSES
    assert operator.shape == dense.shape
    assert operator.core.shape[0] == dense.shape[0] - first * (12 - REMAINING[kind])
    assert (operator.isometry is None) == (REMAINING[kind] == 12)
    np.testing.assert_allclose(columns(operator), dense, rtol=0, atol=round_off(dtype, dense))


def test_two_dense_references_agree():
    network, x, y = problem("tanh", examples=5)
    first = dense_hessian(network, cross_entropy, x, y)
    second = double_backward(network, cross_entropy, x, y)
    np.testing.assert_allclose(first, second, rtol=0, atol=round_off(torch.float64, first))


@pytest.mark.parametrize("kind", [kind for kind, left in REMAINING.items() if left < 12])
def test_isometry_has_orthonormal_columns_and_its_adjoint(kind):
    network, x, y = wide_inputs(kind)
    operator = HessianOperator(network, cross_entropy, x, y)
    T, full, small = operator.isometry, operator.shape[0], operator.core.shape[0]
    identity = torch.eye(small, dtype=torch.float64)
    columns_of_t = T.extend(identity)
    assert columns_of_t.shape == (small, full)
    torch.testing.assert_close(columns_of_t @ columns_of_t.T, identity, rtol=0, atol=1e-14)
    torch.testing.assert_close(T.restrict(columns_of_t), identity, rtol=0, atol=1e-14)
    # Leading axes are carried along; <T u, v> = <u, T^T v>
    u = torch.randn(2, 3, small, dtype=torch.float64)
    v = torch.randn(2, 3, full, dtype=torch.float64)
    torch.testing.assert_close((T.extend(u) * v).sum(-1), (u * T.restrict(v)).sum(-1))


@pytest.mark.parametrize("kind", REMAINING)
def test_core_and_dense_hessian_have_one_spectrum_but_for_zeros(kind):
    network, x, y = wide_inputs(kind)
    dense = dense_hessian(network, cross_entropy, x, y)
    small = HessianOperator(network, cross_entropy, x, y).core
    core = small.row_products(torch.eye(small.shape[0], dtype=torch.float64)).numpy()
    tolerance = round_off(torch.float64, dense)
    assert np.trace(core) == pytest.approx(np.trace(dense), abs=len(dense) * tolerance)
    assert np.linalg.norm(core) == pytest.approx(np.linalg.norm(dense), abs=len(dense) * tolerance)
    padded = np.r_[np.linalg.eigvalsh(core), np.zeros(len(dense) - len(core))]
    np.testing.assert_allclose(np.sort(padded), np.linalg.eigvalsh(dense), rtol=0, atol=tolerance)


@pytest.mark.parametrize("kind", REMAINING)
def test_restricted_network_is_the_same_function_of_its_inputs(kind):
    network, x, _ = wide_inputs(kind)
    restricted = restrict_to_input_span(network, x)
    if restricted is not None:
        small, coordinates, _ = restricted
        torch.testing.assert_close(small(coordinates), network(x))


@pytest.mark.parametrize("name", ["relu", "conv", "tied", "idle"])
def test_symmetric_and_linear(name):
    network, x, y = problem(name, examples=9)
    H = HessianOperator(network, cross_entropy, x, y)
    rng = np.random.default_rng(0)
    u, v = rng.standard_normal((2, H.shape[0]))
    scale = np.linalg.norm(H @ u) * np.linalg.norm(v)
    assert u @ (H @ v) == pytest.approx(v @ (H @ u), abs=1e-13 * scale)
    np.testing.assert_allclose(H @ (2 * u - 3 * v), 2 * (H @ u) - 3 * (H @ v), atol=1e-13 * scale)
    assert not (H @ np.zeros(H.shape[0])).any()


@pytest.mark.parametrize("name", ["relu", "regression", "image", "conv", "tied", "idle"])
@pytest.mark.parametrize("loss", [cross_entropy, squared_error])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_result_does_not_depend_on_the_way(name, loss, dtype):
    network, x, y = problem(name, examples=17, dtype=dtype)
    pairs = list(zip(x.tensor_split([1, 4, 10]), y.tensor_split([1, 4, 10]), strict=True))
    assert [len(a) for a, _ in pairs] == [1, 3, 6, 7]
    loader = DataLoader(TensorDataset(x, y), batch_size=7, shuffle=True)
    ways = {
        "keep": HessianOperator(network, loss, x, y, graph="keep"),
        "keep, cut": HessianOperator(network, loss, x, y, graph="keep", micro_batch=7),
        "stream": HessianOperator(network, loss, x, y, graph="stream"),
        "stream, cut": HessianOperator(network, loss, x, y, graph="stream", micro_batch=7),
        "stream, ones": HessianOperator(network, loss, x, y, graph="stream", micro_batch=1),
        "no memory": HessianOperator(network, loss, x, y, memory_mb=1e-6),
        "pairs": HessianOperator(network, loss, pairs),
        "pairs, kept": HessianOperator(network, loss, pairs, graph="keep"),
        "pairs, streamed": HessianOperator(network, loss, pairs, graph="stream"),
        "loader": HessianOperator(network, loss, loader),
    }
    dense = dense_hessian(network, loss, x, y)
    value = loss(copy.deepcopy(network).double()(x.double()), y).item()
    V = np.random.default_rng(1).standard_normal((len(dense), 3))
    atol = round_off(dtype, dense) * np.linalg.norm(V)
    for way, operator in ways.items():
        np.testing.assert_allclose(operator @ V, dense @ V, rtol=0, atol=atol, err_msg=way)
        assert operator.value == pytest.approx(value, rel=50 * torch.finfo(dtype).eps), way


def test_memory_decides_between_keeping_and_streaming():
    calls = []

    def counted(outputs, targets):
        calls.append(len(outputs))
        return cross_entropy(outputs, targets)

    network, x, y = problem("relu", examples=40)
    for inputs, targets in ((x, y), ([(x[:30], y[:30]), (x[30:], y[30:])], None)):
        for memory_mb, streams in ((1500.0, False), (1e-3, True)):
            operator = HessianOperator(network, counted, inputs, targets, memory_mb=memory_mb)
            calls.clear()
            operator @ np.ones(operator.shape[0])
            # A kept graph is differentiated without another forward pass.
            assert sum(calls) == (40 if streams else 0)
            assert streams or not calls
    small = HessianOperator(network, counted, x, y, memory_mb=1e-3)
    calls.clear()
    small @ np.ones(small.shape[0])
    assert max(calls) < 40
    calls.clear()
    # Several vectors share one pass over the data.
    small @ np.ones((small.shape[0], 5))
    assert sum(calls) == 40


@pytest.mark.parametrize("memory_mb", [0.003, 0.01, 0.1, 1.0])
def test_as_many_examples_as_fit_are_those_that_keep_their_graph(memory_mb):
    """`examples_within`, which cuts augmented sets, allows for a product as the operator does."""
    network, x, y = problem("relu", examples=40)
    fitting = examples_within(network, cross_entropy, x, y, memory_mb)
    for examples in range(1, 41):
        H = HessianOperator(network, cross_entropy, x[:examples], y[:examples], memory_mb=memory_mb)
        assert H.core.keep == (examples <= fitting)


def test_choice_of_graph_does_not_depend_on_the_first_batch_seen():
    kept = set()
    for first in (1, 3, 40):
        network, x, y = problem("relu", examples=40)
        HessianOperator(network, cross_entropy, x[:first], y[:first])
        limits = np.geomspace(1e-4, 1, 400)
        operators = (HessianOperator(network, cross_entropy, x, y, memory_mb=m) for m in limits)
        kept.add(tuple(operator.core._gradient is not None for operator in operators))
    assert len(kept) == 1


@pytest.mark.parametrize("kind", ["batch spans less", "zero pixels", "full"])
@pytest.mark.parametrize("graph", ["keep", "stream"])
def test_arrays_and_tensors_vectors_and_matrices(kind, graph):
    network, x, y = wide_inputs(kind)
    H = HessianOperator(network, cross_entropy, x, y, graph=graph)
    V = np.random.default_rng(0).standard_normal((H.shape[0], 4))
    expected = dense_hessian(network, cross_entropy, x, y) @ V
    tensor = torch.from_numpy(V)
    for product in (
        H @ V,
        H.matmat(V),
        H @ np.asfortranarray(V),
        H @ V[:, ::-1][:, ::-1],
        np.stack([H @ v for v in V.T], axis=1),
        np.stack([H.matvec(v) for v in V.T], axis=1),
    ):
        assert isinstance(product, np.ndarray)
        assert product.dtype == np.float64
        np.testing.assert_allclose(product, expected, atol=1e-13)
    for product in (H @ tensor, H.matmat(tensor), torch.stack([H @ v for v in tensor.T], dim=1)):
        assert product.dtype == torch.float64
        assert not product.requires_grad
        torch.testing.assert_close(product, torch.from_numpy(expected), rtol=0, atol=1e-13)
    # Vectors of integers and of single precision are numbers too.
    unit = np.zeros(H.shape[0], dtype=int)
    unit[5] = 1
    np.testing.assert_array_equal(H @ unit, H @ unit.astype(float))
    rounded = V.astype(np.float32)
    np.testing.assert_allclose(H @ rounded, H @ rounded.astype(float), rtol=0, atol=1e-13)


@pytest.mark.parametrize("kind", ["batch spans less", "full"])
def test_matvecs_counts_vectors(kind):
    network, x, y = wide_inputs(kind)
    H = HessianOperator(network, cross_entropy, x, y, micro_batch=3, graph="stream")
    assert H.matvecs == 0
    H @ np.ones(H.shape[0])
    assert H.matvecs == 1
    H @ np.ones((H.shape[0], 4))
    assert H.matvecs == 5


@pytest.mark.parametrize("kind", ["batch spans less", "zero pixels", "full"])
@pytest.mark.parametrize("graph", ["keep", "stream"])
def test_the_network_is_left_as_it_was(kind, graph):
    network, x, y = wide_inputs(kind)
    network.train()
    network[1].eval()
    cross_entropy(network(x), y).backward()
    weights = copy.deepcopy(network.state_dict())
    grads = [p.grad.clone() for p in network.parameters()]
    flags = [m.training for m in network.modules()]
    identities = [id(p) for p in network.parameters()]
    kept_inputs = x.clone()
    H = HessianOperator(network, cross_entropy, x, y, graph=graph)
    H @ np.ones((H.shape[0], 2))
    assert H.value > 0
    assert [m.training for m in network.modules()] == flags
    assert [id(p) for p in network.parameters()] == identities
    assert all(torch.equal(weights[name], p) for name, p in network.state_dict().items())
    assert all(torch.equal(g, p.grad) for g, p in zip(grads, network.parameters(), strict=True))
    assert torch.equal(x, kept_inputs)


def test_dropout_in_evaluation_mode_inside_a_network_in_training_mode_stays_off():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(12, 4), nn.Dropout(0.5), nn.Linear(4, CLASSES)).double()
    network.train()
    network[1].eval()
    x, y = torch.randn(3, 12, dtype=torch.float64), torch.tensor([0, 1, 2])
    H = HessianOperator(network, cross_entropy, x, y, graph="stream")
    dense = dense_hessian(network, cross_entropy, x, y)
    assert H.isometry is not None
    np.testing.assert_allclose(columns(H), dense, rtol=0, atol=1e-13)


class Tanh(nn.Module):
    def forward(self, weight):
        return weight.tanh()


@pytest.mark.parametrize("where", ["network", "layer", "pre-hook", "parametrized"])
def test_hooks_and_parametrizations_are_respected(where):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(12, 4), nn.Tanh(), nn.Linear(4, CLASSES)).double()
    if where == "network":
        network.register_forward_pre_hook(lambda module, args: (2 * args[0] + 1,))
    elif where == "layer":
        network[0].register_forward_hook(lambda module, args, output: output.square())
    elif where == "pre-hook":
        network[0].register_forward_pre_hook(lambda module, args: (args[0].square(),))
    else:
        nn.utils.parametrize.register_parametrization(network[0], "weight", Tanh())
    x, y = torch.randn(3, 12, dtype=torch.float64), torch.tensor([0, 1, 2])
    dense = double_backward(network, cross_entropy, x, y)
    H = HessianOperator(network, cross_entropy, x, y)
    np.testing.assert_allclose(columns(H), dense, rtol=0, atol=round_off(torch.float64, dense))


@pytest.mark.parametrize(
    "layer", [nn.Dropout(0.5), nn.AlphaDropout(0.5), nn.BatchNorm1d(4), nn.BatchNorm1d(4).eval()]
)
def test_randomness_and_batch_statistics_are_refused_in_training_mode_only(layer):
    training = layer.training
    network = nn.Sequential(nn.Linear(6, 4), nn.Sequential(layer), nn.Linear(4, CLASSES))
    x, y = torch.randn(5, 6), torch.randint(CLASSES, (5,))
    if training:
        with pytest.raises(ValueError, match=r"1\.0.*training mode"):
            HessianOperator(network, cross_entropy, x, y)
    assert HessianOperator(network.eval(), cross_entropy, x, y).value > 0


def test_wrong_arguments_are_told():
    network, x, y = problem("relu", examples=5)
    size = sum(p.numel() for p in network.parameters())
    with pytest.raises(ValueError, match="graph"):
        HessianOperator(network, cross_entropy, x, y, graph="both")
    with pytest.raises(ValueError, match="inputs and targets"):
        HessianOperator(network, cross_entropy, x, y[:4])
    with pytest.raises(ValueError, match="inputs and targets"):
        HessianOperator(network, cross_entropy, x)
    with pytest.raises(ValueError, match="inputs and targets"):
        HessianOperator(network, cross_entropy, x[:0], y[:0])
    with pytest.raises(ValueError, match="targets"):
        HessianOperator(network, cross_entropy, [(x, y)], y)
    with pytest.raises(ValueError, match="scalar"):
        HessianOperator(network, lambda o, t: o.sum(1) - t, [(x, y)], graph="keep")
    for graph in ("auto", "keep", "stream"):
        with pytest.raises(ValueError, match="re-iterable"):
            HessianOperator(network, cross_entropy, ((a, b) for a, b in [(x, y)]), graph=graph)
    for graph in ("keep", "stream"):
        with pytest.raises(ValueError, match="no examples"):
            HessianOperator(network, cross_entropy, [], graph=graph)
    H = HessianOperator(network, cross_entropy, x, y)
    for wrong in (np.ones(size + 1), np.ones((size + 1, 2)), np.ones((2, size)), torch.ones(3)):
        with pytest.raises(ValueError, match="shape"):
            H @ wrong
    with pytest.raises(ValueError, match="shape"):
        H.matvec(np.ones((size, 1)))
    with pytest.raises(ValueError, match="shape"):
        H.matmat(np.ones(size))
    assert H.matvecs == 0
