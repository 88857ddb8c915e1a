"""What BatchNorm does in a Hessian: statistics of the training set, or of the batch."""

import copy
import io

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from hessian_rmt.curvature import HessianOperator, exact_spectrum, top_eigenpairs
from hessian_rmt.data.loading import load_dataset
from hessian_rmt.errors import UserError
from hessian_rmt.jobs import Log
from hessian_rmt.networks import build_network
from hessian_rmt.networks.batch_norm import BatchNorm, batch_norms, set_batch_norm
from hessian_rmt.networks.precision import without_tf32
from hessian_rmt.trained import trained_run
from hessian_rmt.training import initial_checkpoint, save_checkpoint, train_segment, verify_loss

LOG = Log(io.StringIO())
NETWORKS = {
    "wide_resnet": {"depth": 10, "widening": 1, "width": 2},
    "preresnet": {"blocks": 1, "width": 2},
    "vgg": {"convolutions": [1, 1], "width": 3, "batch_norm": True},
}
EVALUATION, BATCH = "evaluation", "batch"


def network_of(name: str, *, seed: int = 0) -> nn.Module:
    """In evaluation mode and float64, its BatchNorm layers' constants far from their statistics."""
    network = build_network({"name": name, "arguments": NETWORKS[name]}, (1, 6, 6), 3, seed=seed)
    torch.manual_seed(seed)
    for layer in batch_norms(network):
        for tensor in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
            nn.init.uniform_(tensor, 0.5, 2.0)
    return network.double().eval()


def examples(count: int) -> tuple[np.ndarray, torch.Tensor]:
    rng = np.random.default_rng(count)
    return rng.standard_normal((count, 1, 6, 6)), torch.from_numpy(rng.integers(3, size=count))


def in_training_mode(network: nn.Module) -> nn.Module:
    """A copy whose BatchNorm layers, and they alone, are in training mode."""
    network = copy.deepcopy(network)
    for layer in batch_norms(network):
        layer.train()
    return network


def products(network: nn.Module, x: torch.Tensor, y: torch.Tensor, V: np.ndarray) -> np.ndarray:
    """H V column by column, by differentiating the function of all weights as one vector."""
    sizes = [p.numel() for p in network.parameters()]
    names = [name for name, _ in network.named_parameters()]
    shapes = [p.shape for p in network.parameters()]

    def value(flat: torch.Tensor) -> torch.Tensor:
        pieces = [w.view(shape) for w, shape in zip(flat.split(sizes), shapes, strict=True)]
        weights = dict(zip(names, pieces, strict=True))
        return cross_entropy(torch.func.functional_call(network, weights, (x,)), y)

    flat = torch.cat([p.detach().flatten() for p in network.parameters()])
    columns = [torch.autograd.functional.hvp(value, flat, torch.from_numpy(v))[1] for v in V.T]
    return torch.stack(columns, dim=1).numpy()


# Statistics of the training set ------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("count", [1, 255, 600])
def test_recomputed_statistics_are_those_of_one_pass_over_all_examples(name, count):
    """Layer by layer: each layer's statistics follow from those of the layers before."""
    network, (inputs, _) = network_of(name), examples(count)
    x = torch.from_numpy(inputs)
    whole = in_training_mode(network)
    seen = {}
    for key, layer in whole.named_modules():
        if isinstance(layer, BatchNorm):
            layer.register_forward_pre_hook(
                lambda _, arguments, key=key: seen.__setitem__(key, arguments[0].detach())
            )
    expected = whole(x)
    set_batch_norm(network, EVALUATION, inputs)
    layers = dict(network.named_modules())
    assert len(seen) == len(batch_norms(network)) > 0
    for key, z in seen.items():
        mean, variance = z.mean((0, 2, 3)), z.var((0, 2, 3), correction=0)
        np.testing.assert_allclose(layers[key].running_mean, mean, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(layers[key].running_var, variance, rtol=1e-10, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(network(x), expected, rtol=1e-9, atol=1e-9)


def test_recomputed_statistics_depend_on_weights_and_examples_alone():
    inputs, _ = examples(300)
    states = []
    for other_statistics in (False, True):
        network = network_of("wide_resnet")
        for layer in batch_norms(network) if other_statistics else []:
            layer.running_mean.fill_(7.0)
            layer.running_var.fill_(3.0)
        set_batch_norm(network, EVALUATION, inputs)
        states.append(network.state_dict())
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key


def test_networks_without_batch_norm_are_not_even_called():
    network = build_network({"name": "vgg", "arguments": {"width": 1}}, (1, 6, 6), 3, seed=0)
    network.register_forward_pre_hook(lambda *_: pytest.fail("called"))
    before = copy.deepcopy(network.state_dict())
    for mode in (EVALUATION, BATCH):
        set_batch_norm(network, mode, examples(5)[0])
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_statistics_that_are_not_defined_are_a_sentence():
    inputs, _ = examples(5)
    without = nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False)).double().eval()
    layer = nn.BatchNorm2d(1)
    twice = nn.Sequential(layer, nn.ReLU(), layer).double().eval()
    for network, words in ((without, "keeps no statistics"), (twice, "several times")):
        parametrised = nn.Sequential(network, nn.Conv2d(1, 1, 1).double())
        with pytest.raises(UserError, match=words):
            set_batch_norm(parametrised, EVALUATION, inputs)
        set_batch_norm(parametrised, BATCH, inputs)


# Statistics of the batch -------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_batch_statistics_are_differentiated_with_the_rest(name):
    network, (inputs, y) = network_of(name), examples(7)
    x = torch.from_numpy(inputs)
    constant = HessianOperator(network, cross_entropy, x, y)
    V = np.random.default_rng(0).standard_normal((constant.shape[0], 2))
    expected = products(in_training_mode(network), x, y, V)
    statistics = copy.deepcopy(network.state_dict())
    set_batch_norm(network, BATCH, inputs)
    atol = 1e-12 * np.linalg.norm(expected)
    ways = {
        "keep": HessianOperator(network, cross_entropy, x, y, graph="keep"),
        "stream": HessianOperator(network, cross_entropy, x, y, graph="stream"),
        "pair": HessianOperator(network, cross_entropy, [(x, y)]),
    }
    for way, operator in ways.items():
        np.testing.assert_allclose(operator @ V, expected, rtol=0, atol=atol, err_msg=way)
    assert np.abs(constant @ V - expected).max() > 1e6 * atol, "not the same as constants"
    assert not any("running" in key for key in network.state_dict())
    assert {k for k in statistics if "running" not in k and "tracked" not in k} == set(
        network.state_dict()
    )


def test_eigenvalues_with_batch_statistics_are_certified_on_the_whole_batch():
    (inputs, y), arguments = examples(9), {"convolutions": [1], "width": 2, "batch_norm": True}
    settings = {"name": "vgg", "arguments": arguments}
    network = build_network(settings, (1, 6, 6), 3, seed=0).double().eval()
    x = torch.from_numpy(inputs)
    order = sum(p.numel() for p in network.parameters())
    dense = products(in_training_mode(network), x, y, np.eye(order))
    exact = np.linalg.eigvalsh(dense)[::-1]
    set_batch_norm(network, BATCH, inputs)
    spectrum = exact_spectrum(network, cross_entropy, x, y, reduce=False)
    np.testing.assert_allclose(spectrum.eigenvalues[::-1], exact, atol=1e-12 * exact[0])
    network = network.float()
    operator = HessianOperator(network, cross_entropy, x.float(), y, memory_mb=50.0)
    pairs = top_eigenpairs(operator, 3, tol=1e-4)
    assert pairs.converged
    # the weights are rounded to float32, which moves an eigenvalue by about that much
    assert (np.abs(pairs.values - exact[:3]) <= pairs.residuals + 1e-5 * exact[0]).all()


def test_a_batch_with_its_own_statistics_is_never_cut():
    network, (inputs, y) = network_of("wide_resnet"), examples(8)
    x = torch.from_numpy(inputs)
    set_batch_norm(network, BATCH, inputs)
    pairs = list(zip(x.split(4), y.split(4), strict=True))
    for arguments, options in (((x, y), {"micro_batch": 3}), ((pairs,), {})):
        with pytest.raises(ValueError, match="share depends on the others; give the whole batch"):
            HessianOperator(network, cross_entropy, *arguments, **options)
    for graph in ("auto", "keep", "stream"):
        with pytest.raises(UserError, match=r"a batch of 8 examples .* compute.memory_mb"):
            HessianOperator(network, cross_entropy, x, y, graph=graph, memory_mb=0.01)
    with pytest.raises(ValueError, match=r"call network\.eval"):
        HessianOperator(in_training_mode(network), cross_entropy, x, y)
    constants = network_of("wide_resnet")
    HessianOperator(constants, cross_entropy, pairs)
    HessianOperator(constants, cross_entropy, x, y, micro_batch=3, memory_mb=0.01)


# Runs --------------------------------------------------------------------------------------------


def settings_of(examples: int, batch_size: int = 16, *, name: str = "wide_resnet") -> dict:
    return {
        "seed": 3,
        "dataset": {
            "name": "synthetic",
            "shape": [1, 6, 6],
            "classes": 3,
            "train_examples": examples,
            "test_examples": 10,
        },
        "network": {"name": name, "arguments": NETWORKS[name]},
        "training": {
            "epochs": 1,
            "batch_size": batch_size,
            "learning_rate": 0.1,
            "schedule": "constant",
            "momentum": 0.9,
            "weight_decay": 0.0,
            "augmentation": "none",
            "loss": "cross_entropy",
        },
        "compute": {"threads": 1, "memory_mb": 500, "device": "cpu"},
    }


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    settings = settings_of(80)
    data = load_dataset(settings["dataset"], "")
    start = initial_checkpoint("r", settings, data)
    path = tmp_path_factory.mktemp("run") / "epoch-001.pt"
    trained = train_segment("r", settings, data, start, 1, LOG)
    save_checkpoint(path, trained)
    return path, trained


@pytest.fixture(autouse=True)
def threads_left_alone():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_a_runs_hessian_has_the_training_sets_statistics(checkpoint):
    path, _ = checkpoint
    settings = settings_of(80)
    runs = {
        mode: trained_run("r", settings | {"hessian": {"batch_norm": mode}}, "", str(path), 1)
        for mode in (EVALUATION, BATCH)
    }
    left_by_training = trained_run("r", settings, "", str(path), 1)
    assert left_by_training.training_loss == runs[EVALUATION].training_loss
    x, _ = left_by_training.examples("train")
    whole = in_training_mode(left_by_training.network)(x)
    for run in runs.values():
        torch.testing.assert_close(run.network(x), whole, rtol=1e-4, atol=1e-4)
    assert (left_by_training.network(x) - whole).abs().max() > 0.01
    for mode, run in runs.items():
        assert f'"batch_norm": "{mode}"' in run.provenance()["settings"]


def test_the_recorded_loss_is_checked_with_the_statistics_that_training_left(checkpoint, tmp_path):
    """Recomputing first would hide a damaged statistic."""
    _, trained = checkpoint
    damaged = copy.deepcopy(trained)
    key = next(key for key in damaged.weights if key.endswith("running_var"))
    damaged.weights[key] *= 4
    path = tmp_path / "epoch-001.pt"
    save_checkpoint(path, damaged)
    settings = settings_of(80) | {"hessian": {"batch_norm": EVALUATION}}
    with pytest.raises(UserError, match="where training recorded"):
        trained_run("r", settings, "", str(path), 1)


def test_a_last_single_example_joins_the_step_before():
    """65 examples in batches of 16 are four steps; alone, the last has no variance."""
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(36), nn.Linear(36, 3))
    sizes = []
    settings = settings_of(65)
    data = load_dataset(settings["dataset"], "")
    start = initial_checkpoint("r", settings, data)

    class Watched(Log):
        def progress(self, items, **_):
            items = list(items)
            sizes.append([len(batch) for batch in items])
            return iter(items)

    train_segment("r", settings, data, start, 1, Watched(io.StringIO()))
    assert sizes == [[16, 16, 16, 17]]
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        network(torch.zeros(1, 1, 6, 6))
    settings = settings_of(65)
    settings["network"] = {"name": "vgg", "arguments": NETWORKS["vgg"] | {"batch_norm": False}}
    start = initial_checkpoint("r", settings, data)
    train_segment("r", settings, data, start, 1, Watched(io.StringIO()))
    assert sizes[1] == [16, 16, 16, 16, 1], "without BatchNorm nothing changes"


@pytest.mark.parametrize(("count", "batch_size"), [(1, 1), (5, 1)])
def test_steps_of_one_example_are_a_sentence(count, batch_size):
    settings = settings_of(count, batch_size)
    data = load_dataset(settings["dataset"], "")
    start = initial_checkpoint("r", settings, data)
    with pytest.raises(UserError, match=r"training.batch_size .* take two or more"):
        train_segment("r", settings, data, start, 1, LOG)


# Arithmetic --------------------------------------------------------------------------------------


def allowed() -> tuple[bool, bool]:
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


def test_products_and_recorded_losses_are_computed_without_tf32(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    seen = []

    def loss(outputs, targets):
        seen.append(allowed())
        outputs.register_hook(lambda _: seen.append(allowed()))
        return cross_entropy(outputs, targets)

    network, (inputs, y) = network_of("vgg"), examples(6)
    x = torch.from_numpy(inputs)
    for graph in ("keep", "stream"):
        operator = HessianOperator(network, loss, x, y, graph=graph)
        seen.clear()
        operator.core.release()
        operator @ np.ones(operator.shape[0])
        assert len(seen) >= 2
        assert set(seen) == {(False, False)}
    settings = settings_of(20)
    data = load_dataset(settings["dataset"], "")
    checkpoint = initial_checkpoint("r", settings, data)
    built = build_network(settings["network"], (1, 6, 6), 3, seed=1)
    built.register_forward_pre_hook(lambda *_: seen.append(allowed()))
    seen.clear()
    with pytest.raises(UserError, match="where training recorded"):
        verify_loss(built, settings, data, checkpoint)
    assert set(seen) == {(False, False)}
    assert allowed()[0] is True


def test_tf32_is_as_it_was_after_a_failure(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    seen = []

    @without_tf32()
    def fail() -> None:
        seen.append(allowed())
        raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert seen == [(False, False)]
    assert allowed()[0] is True
