"""The library's networks: the papers' parameter counts, and what their heads are given."""

import copy
import io

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from hessian_rmt.curvature import HessianOperator
from hessian_rmt.data.loading import load_dataset
from hessian_rmt.errors import UserError
from hessian_rmt.jobs import Log
from hessian_rmt.networks import build_network
from hessian_rmt.networks.features import penultimate_features
from hessian_rmt.networks.layout import fastest_layout
from hessian_rmt.networks.mlp import mlp
from hessian_rmt.networks.preresnet import preresnet
from hessian_rmt.networks.pretrained import resnet34_imagenet
from hessian_rmt.networks.vgg import vgg
from hessian_rmt.networks.wide_resnet import wide_resnet
from hessian_rmt.storage import write_hdf5


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("hidden", "count"), [((), 7_850), ((10, 100), 9_960), ((10, 100, 100), 20_060)]
)
def test_parameters_of_perceptrons(hidden, count):
    assert parameters(mlp((1, 28, 28), 10, hidden=hidden)) == count


@pytest.mark.parametrize(("classes", "count"), [(100, 1_169_972), (10, 1_146_842)])
def test_parameters_of_preresnet110(classes, count):
    network = preresnet((3, 32, 32), classes)
    assert parameters(network) == count
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    shortcuts = [m for m in convolutions if m.kernel_size == (1, 1) and m.in_channels < 300]
    assert len(convolutions) + 1 - 3 == 110, "with the head, without the three shortcuts"
    assert len(shortcuts) == 3 + 2 * 36


@pytest.mark.parametrize(("batch_norm", "count"), [(False, 15_291_300), (True, 15_299_748)])
def test_parameters_of_vgg16(batch_norm, count):
    network = vgg((3, 32, 32), 100, batch_norm=batch_norm)
    assert parameters(network) == count
    weighted = [m for m in network if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(weighted) == 16
    assert sum(isinstance(m, nn.MaxPool2d) for m in network) == 5


def test_parameters_of_wrn_28_10():
    network = wide_resnet((3, 32, 32), 100)
    assert parameters(network) == 36_546_980
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) + 1 - 3 == 26, "with the head, without the three shortcuts"


def test_wide_resnet_refuses_other_depths():
    with pytest.raises(ValueError, match=r"6 n \+ 4 .* not 27"):
        wide_resnet((3, 32, 32), 10, depth=27)


SMALL = {
    "preresnet": {"blocks": 2, "width": 2},
    "vgg": {"width": 2},
    "wide_resnet": {"depth": 10, "widening": 1, "width": 2},
}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("size", [7, 14, 33])
def test_convolutional_networks_take_any_image_size(name, size):
    settings = {"name": name, "arguments": SMALL[name]}
    network = build_network(settings, (1, size, size), 10, seed=0).eval()
    assert network(torch.randn(3, 1, size, size)).shape == (3, 10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("preresnet", {"blocks": 1, "width": 4}),
        ("vgg", {"convolutions": [1, 1], "width": 4, "batch_norm": True}),
        ("wide_resnet", {"depth": 10, "widening": 1, "width": 4}),
        ("mlp", {"hidden": [5]}),
    ],
)
def test_the_layout_changes_round_off_alone(name, arguments, dtype):
    """Parameters, their order in a vector, and H v; weights of another shape stay as they are."""
    settings = {"name": name, "arguments": arguments}
    plain = build_network(settings, (3, 8, 8), 4, seed=1).eval().to(dtype)
    laid_out = fastest_layout(copy.deepcopy(plain))
    for before, after in zip(plain.parameters(), laid_out.parameters(), strict=True):
        torch.testing.assert_close(before, after, rtol=0, atol=0)
        assert before.ndim == 4 or before.stride() == after.stride()
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(9, 3, 8, 8, generator=generator, dtype=dtype)
    y = torch.arange(9) % 4
    v = torch.randn(parameters(plain), generator=generator, dtype=torch.float64)
    products = [HessianOperator(n, cross_entropy, x, y).matvec(v) for n in (plain, laid_out)]
    error = float((products[0] - products[1]).norm() / products[0].norm())
    assert error < 1e3 * torch.finfo(dtype).eps


def test_the_layout_is_channels_last_through_copies_and_checkpoints():
    network = build_network({"name": "vgg", "arguments": {"width": 4}}, (3, 8, 8), 4, seed=1)
    weights = io.BytesIO()
    torch.save(network.state_dict(), weights)
    network = copy.deepcopy(fastest_layout(network)).double()
    network.load_state_dict(torch.load(io.BytesIO(weights.getvalue())))
    convolutions = [m for m in network if isinstance(m, nn.Conv2d) and m.in_channels > 1]
    for module in convolutions:
        assert module.weight.is_contiguous(memory_format=torch.channels_last)
    assert not convolutions[0].weight.is_contiguous()


def test_resnet34_is_given_imagenets_images():
    """Constant images in [0, 1] become constant images with ImageNet's mean taken off."""
    network = resnet34_imagenet((3, 32, 32), 10, weights=None).eval()
    grey = torch.full((1, 3, 32, 32), 0.5)
    prepared = network[0](grey)
    assert prepared.shape == (1, 3, 224, 224)
    expected = (0.5 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(prepared, expected[None, :, None, None].expand_as(prepared))
    log = Log(io.StringIO())
    assert penultimate_features(network, grey.numpy(), log).shape == (1, 512)


def test_resnet34_refuses_grey_images():
    with pytest.raises(UserError, match=r"colour images .* not \(1, 28, 28\)"):
        build_network({"name": "resnet34_imagenet"}, (1, 28, 28), 10, seed=0)


@pytest.mark.parametrize("name", ["mlp", "preresnet"])
def test_the_head_makes_logits_of_the_features(name):
    arguments = {"mlp": {"hidden": [5, 7]}, "preresnet": {"blocks": 1, "width": 2}}[name]
    network = build_network({"name": name, "arguments": arguments}, (1, 8, 8), 4, seed=1).eval()
    inputs = np.random.default_rng(0).standard_normal((600, 1, 8, 8), dtype=np.float32)
    features = penultimate_features(network, inputs, Log(io.StringIO()))
    assert features.shape == (600, {"mlp": 7, "preresnet": 32}[name])
    with torch.no_grad():
        logits = network(torch.from_numpy(inputs))
        head = list(network.children())[-1]
        torch.testing.assert_close(head(torch.from_numpy(features)), logits, rtol=0, atol=1e-5)


def test_features_need_a_head():
    inputs = np.zeros((2, 1, 4, 4), np.float32)
    with pytest.raises(UserError, match="no linear layer"):
        penultimate_features(nn.Sequential(nn.Conv2d(1, 2, 3)), inputs, Log(io.StringIO()))
    every_pixel = nn.Sequential(nn.Linear(4, 3), nn.Flatten())
    with pytest.raises(UserError, match="it is no head"):
        penultimate_features(every_pixel, inputs, Log(io.StringIO()))


def test_embeddings_are_a_data_set(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "train_inputs": rng.standard_normal((9, 5), dtype=np.float32),
        "train_targets": np.arange(9) % 3,
        "test_inputs": rng.standard_normal((4, 5), dtype=np.float32),
        "test_targets": np.arange(4) % 3,
        "classes": 3,
        "data": "5 features",
    }
    path = tmp_path / "epoch-007.h5"
    write_hdf5(path, arrays, {})
    settings = {"name": "embeddings", "run": "r", "epoch": 7, "standardise": False}
    data = load_dataset(settings, tmp_path)
    np.testing.assert_array_equal(data.train_inputs, arrays["train_inputs"])
    np.testing.assert_array_equal(data.held_out_targets, arrays["test_targets"])
    assert (data.classes, data.kind, data.outputs) == (3, "5 features", 3)
    scaled = load_dataset(settings | {"standardise": True}, tmp_path).train_inputs
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.std(0), 1, rtol=1e-5)
    damaged = bytearray(path.read_bytes())
    damaged[-1000] ^= 4
    path.write_bytes(damaged)
    with pytest.raises(UserError, match=r"epoch-007\.h5 is damaged"):
        load_dataset(settings, tmp_path)
