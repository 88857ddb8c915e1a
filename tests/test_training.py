"""Training: segments and interruptions change nothing, and damage and divergence are sentences."""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from hessian_rmt.curvature import HessianOperator, top_eigenpairs
from hessian_rmt.data.loading import Dataset, load_dataset
from hessian_rmt.errors import UserError
from hessian_rmt.jobs import Log
from hessian_rmt.storage import sha256_of_file
from hessian_rmt.training import (
    HISTORY_COLUMNS,
    Checkpoint,
    flip_crop,
    initial_checkpoint,
    learning_rate,
    load_checkpoint,
    loss_function,
    network_at,
    resolve_device,
    save_checkpoint,
    train_segment,
    verify_loss,
)

RUN = "tiny"
EPOCHS = 5


class Quiet(Log):
    """Keeps its lines; raises in the given epoch, before its first step or after its last."""

    def __init__(self, *, stop: int = 0, when: str = "") -> None:
        self.lines: list[str] = []
        self._stop, self._when = stop, when

    def line(self, text: str) -> None:
        self.lines.append(text)
        if self._when == "after" and text.startswith(f"epoch={self._stop} "):
            raise KeyboardInterrupt

    def progress(self, items: Any, *, label: str, total: int | None = None) -> Iterator[Any]:
        for i, item in enumerate(items):
            if label.endswith(f"epoch {self._stop}") and i == {"before": 0, "amid": 2}.get(
                self._when
            ):
                raise KeyboardInterrupt
            yield item


def settings(path: Path, **training: Any) -> dict[str, Any]:
    return {
        "seed": 7,
        "dataset": {"name": "npz", "path": str(path)},
        "network": {"name": "mlp", "arguments": {"hidden": [6]}},
        "training": {
            "epochs": EPOCHS,
            "batch_size": 16,
            "learning_rate": 0.05,
            "schedule": "linear_decay",
            "momentum": 0.9,
            "weight_decay": 1e-3,
            "augmentation": "none",
            "loss": "cross_entropy",
        }
        | training,
        "compute": {"threads": 1, "device": "cpu"},
    }


def images(path: Path, *, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((3, 2, 5, 5))
    arrays = {}
    for part, count in (("train", 70), ("test", 20)):
        targets = rng.integers(0, 3, count)
        targets[:3] = range(3)
        arrays[f"{part}_inputs"] = centres[targets] + rng.standard_normal((count, 2, 5, 5))
        arrays[f"{part}_targets"] = targets
    np.savez(path, **arrays)
    return path


Case = tuple[dict[str, Any], Dataset]


@pytest.fixture
def case(tmp_path) -> Case:
    chosen = settings(images(tmp_path / "images.npz"))
    return chosen, load_dataset(chosen["dataset"], tmp_path)


NETWORKS = """
from torch import nn


def dropout(input_shape, classes, *, width):
    channels = input_shape[0]
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(),
        nn.Dropout(0.4), nn.Flatten(), nn.Linear(width * 25, classes),
    )
"""


@pytest.fixture(params=["plain", "constant", "flip_crop", "dropout", "all"])
def any_case(request, case, tmp_path, monkeypatch) -> Case:
    """Settings whose epochs need more than the weights: momentum, random numbers, buffers."""
    chosen, data = case
    if request.param in ("flip_crop", "all"):
        chosen["training"]["augmentation"] = "flip_crop"
    if request.param == "constant":
        chosen["training"] |= {"schedule": "constant", "momentum": 0.0}
    if request.param in ("dropout", "all"):
        (tmp_path / "networks_of_test_training.py").write_text(NETWORKS)
        monkeypatch.syspath_prepend(tmp_path)
        name = "networks_of_test_training:dropout"
        chosen["network"] = {"name": name, "arguments": {"width": 3}}
    return chosen, data


LAYOUT_NETWORK = """
from torch import nn


class Viewing(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.convolution = nn.Conv2d(channels, 4, 3, padding=1)
        self.head = nn.Linear(100, classes)

    def forward(self, x):
        return self.head(self.convolution(x).relu().view(len(x), -1))


def viewing(input_shape, classes):
    return Viewing(input_shape[0], classes)
"""


def train(case: Case, start: Checkpoint, last: int, log: Log | None = None, **options: Any) -> Any:
    chosen, data = case
    return train_segment(RUN, chosen, data, start, last, log or Quiet(), **options)


def begin(case: Case) -> Checkpoint:
    return initial_checkpoint(RUN, *case)


def equal(left: Any, right: Any) -> bool:
    """Equal to the bit, NaN being equal to NaN."""
    if isinstance(left, torch.Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(equal(left[k], right[k]) for k in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, float) and math.isnan(left):
        return math.isnan(right)
    return type(left) is type(right) and left == right


def same(left: Checkpoint, right: Checkpoint) -> bool:
    return equal(vars(left), vars(right))


# The schedule -------------------------------------------------------------------------------------


def test_linear_decay_at_its_ends_and_kinks():
    chosen = {"schedule": "linear_decay", "learning_rate": 0.3, "epochs": 100}
    rates = [learning_rate(chosen, epoch) for epoch in range(1, 101)]
    assert rates[0] == 0.3
    assert rates[:51] == [0.3] * 51, "50 epochs are finished when epoch 51 begins"
    assert rates[51] == pytest.approx(0.3 * (1 - 0.99 * 0.01 / 0.4))
    assert rates[70] == pytest.approx(0.3 * (1 - 0.99 / 2))
    assert rates[90] == pytest.approx(0.003)
    assert rates[91:] == [0.01 * 0.3] * 9
    steps = np.diff(rates[50:91])
    np.testing.assert_allclose(steps, steps[0], rtol=1e-9)


def test_linear_decay_of_applicability():
    """0.003 up to epoch 150, down to 0.00003 at epoch 270 of 300 (section 4)."""
    chosen = {"schedule": "linear_decay", "learning_rate": 0.003, "epochs": 300}
    after = {finished: learning_rate(chosen, finished + 1) for finished in (0, 150, 210, 270, 299)}
    expected = {0: 3e-3, 150: 3e-3, 210: 3e-3 * 0.505, 270: 3e-5, 299: 3e-5}
    assert after == pytest.approx(expected)


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_few_epochs(epochs):
    chosen = {"schedule": "linear_decay", "learning_rate": 1.0, "epochs": epochs}
    rates = [learning_rate(chosen, epoch) for epoch in range(1, epochs + 1)]
    assert rates[0] == 1.0
    assert all(0.01 <= late <= early for early, late in pairwise(rates))


def test_constant():
    chosen = {"schedule": "constant", "learning_rate": 0.3, "epochs": 10}
    assert [learning_rate(chosen, epoch) for epoch in (1, 5, 10)] == [0.3] * 3


# Segments and interruptions -----------------------------------------------------------------------


def test_training_learns_and_records_it(case):
    checkpoint = train(case, begin(case), EPOCHS)
    assert checkpoint.epoch == EPOCHS
    history = np.array(checkpoint.history)
    assert history.shape == (EPOCHS + 1, len(HISTORY_COLUMNS))
    np.testing.assert_array_equal(history[:, 0], range(EPOCHS + 1))
    assert math.isnan(history[0, 1])
    assert history[1, 1] == 0.05
    assert history[-1, 2] < 0.5 * history[0, 2]
    assert history[-1, 3] > 0.9


def test_only_the_librarys_convolutions_have_channels_last(case, tmp_path, monkeypatch):
    """A user's network may take a `view` of activations, which need their usual order for that."""
    (tmp_path / "networks_of_layout_test.py").write_text(LAYOUT_NETWORK)
    monkeypatch.syspath_prepend(tmp_path)
    chosen, data = case
    chosen["network"] = {"name": "networks_of_layout_test:viewing", "arguments": {}}
    start = begin(case)
    assert start.weights["convolution.weight"].is_contiguous()
    end = train(case, start, 1)
    inputs, targets = torch.from_numpy(data.train_inputs), torch.from_numpy(data.train_targets)
    operator = HessianOperator(network_at(RUN, chosen, data, end), cross_entropy, inputs, targets)
    assert top_eigenpairs(operator, 2).converged, "in double precision too"

    chosen["network"] = {"name": "vgg", "arguments": {"convolutions": [1], "width": 4}}
    weights = [w for w in begin(case).weights.values() if w.ndim == 4]
    assert weights
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in weights)


def test_segments_are_one_long_training(any_case, tmp_path):
    """Also through files, and for every place to cut."""
    whole = train(any_case, begin(any_case), EPOCHS)
    assert same(whole, train(any_case, begin(any_case), EPOCHS)), "it is repeatable at all"
    path = tmp_path / "epoch.pt"
    for cut in range(1, EPOCHS):
        save_checkpoint(path, train(any_case, begin(any_case), cut))
        assert same(train(any_case, load_checkpoint(path), EPOCHS), whole)
    step = begin(any_case)
    for epoch in range(1, EPOCHS + 1):
        save_checkpoint(path, step)
        step = train(any_case, load_checkpoint(path), epoch)
    assert same(step, whole)


@pytest.mark.parametrize("when", ["before", "amid", "after"])
def test_an_interruption_changes_nothing(any_case, tmp_path, when):
    whole = train(any_case, begin(any_case), EPOCHS)
    for stop in range(1, EPOCHS + 1):
        state = tmp_path / f"{stop}/.state/epoch.pt"
        with pytest.raises(KeyboardInterrupt):
            train(any_case, begin(any_case), EPOCHS, Quiet(stop=stop, when=when), state=state)
        assert state.exists() == (stop > 1)
        log = Quiet()
        torch.manual_seed(stop)  # another process has other random numbers
        assert same(train(any_case, begin(any_case), EPOCHS, log, state=state), whole)
        resumed = [line for line in log.lines if "going on from epoch" in line]
        assert len(resumed) == (stop > 1)
        if resumed:
            assert f"going on from epoch {stop - 1}," in resumed[0]
        assert not list(state.parent.iterdir()) if state.parent.exists() else True


def test_many_interruptions_change_nothing(any_case, tmp_path):
    whole = train(any_case, begin(any_case), EPOCHS)
    state = tmp_path / "state.pt"
    for stop in range(2, EPOCHS + 1):
        with pytest.raises(KeyboardInterrupt):
            train(any_case, begin(any_case), EPOCHS, Quiet(stop=stop, when="amid"), state=state)
    assert same(train(any_case, begin(any_case), EPOCHS, state=state), whole)


def interrupted(case: Case, state: Path, *, after: int = 2) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(case, begin(case), EPOCHS, Quiet(stop=after + 1, when="before"), state=state)
    assert load_checkpoint(state).epoch == after


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("training", "learning_rate", 0.01),
        ("training", "epochs", EPOCHS + 1),
        ("training", "batch_size", 8),
        ("training", "augmentation", "flip_crop"),
        ("network", "arguments", {"hidden": [7]}),
        ("network", "arguments", {"hidden": [6], "activation": "tanh"}),
        ("dataset", "standardise", False),
        (None, "seed", 8),
    ],
)
def test_the_state_of_other_settings_is_left_alone(case, tmp_path, part, key, value):
    state = tmp_path / "state.pt"
    interrupted(case, state)
    chosen, data = case
    (chosen[part] if part else chosen)[key] = value
    data = load_dataset(chosen["dataset"], tmp_path)
    log = Quiet()
    resumed = train((chosen, data), begin((chosen, data)), EPOCHS, log, state=state)
    assert not any("going on" in line for line in log.lines)
    assert same(resumed, train((chosen, data), begin((chosen, data)), EPOCHS))


def test_a_state_outside_the_segment_is_left_alone(case, tmp_path):
    state = tmp_path / "state.pt"
    interrupted(case, state, after=3)
    for first, last in ((0, 2), (0, 3), (3, 4), (4, 5)):
        save_checkpoint(state, train(case, begin(case), 3))
        log = Quiet()
        start = train(case, begin(case), first) if first else begin(case)
        assert same(train(case, start, last, log, state=state), train(case, begin(case), last))
        assert not any("going on" in line for line in log.lines), (first, last)


def test_the_state_of_other_data_under_the_same_name_is_left_alone(case, tmp_path):
    chosen, _ = case
    state = tmp_path / "state.pt"
    interrupted(case, state)
    images(tmp_path / "images.npz", seed=1)
    case = chosen, load_dataset(chosen["dataset"], tmp_path)
    resumed = train(case, begin(case), EPOCHS, state=state)
    assert same(resumed, train(case, begin(case), EPOCHS))


def cut_digest(state: Path) -> None:
    state.with_name(state.name + ".sha256").unlink()


def older_digest(state: Path) -> None:
    state.with_name(state.name + ".sha256").write_text("0" * 64 + "  state.pt\n")


def cut_state(state: Path) -> None:
    state.write_bytes(state.read_bytes()[:100])


@pytest.mark.parametrize("damage", [cut_digest, older_digest, cut_state])
def test_a_damaged_state_starts_the_segment_anew(case, tmp_path, damage):
    """As a kill between the writing of the state and of its digest leaves it."""
    state = tmp_path / "state.pt"
    interrupted(case, state)
    damage(state)
    resumed = train(case, begin(case), EPOCHS, state=state)
    assert same(resumed, train(case, begin(case), EPOCHS))


# Errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [1e4, 1e30])
def test_divergence_names_the_key(case, rate):
    chosen, data = case
    chosen["training"] |= {"learning_rate": rate, "schedule": "constant"}
    with pytest.raises(UserError, match=rf"lower runs\.{RUN}\.training\.learning_rate") as caught:
        train((chosen, data), begin(case), EPOCHS)
    assert "epoch 1 " in str(caught.value)


def test_flip_crop_needs_images(case, tmp_path):
    chosen, data = case
    chosen["training"]["augmentation"] = "flip_crop"
    flat = {
        "train_inputs": data.train_inputs.reshape(70, -1),
        "train_targets": data.train_targets,
        "test_inputs": data.held_out_inputs.reshape(20, -1),
        "test_targets": data.held_out_targets,
    }
    np.savez(tmp_path / "flat.npz", **flat)
    chosen["dataset"]["path"] = str(tmp_path / "flat.npz")
    case = chosen, load_dataset(chosen["dataset"], tmp_path)
    with pytest.raises(UserError, match="flip_crop"):
        train(case, begin(case), EPOCHS)


def test_an_unknown_gpu_is_a_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == resolve_device("cpu") == torch.device("cpu")
    with pytest.raises(UserError, match=r"compute\.device is 'cuda:1'"):
        resolve_device("cuda:1")


def test_a_checkpoint_of_another_network_is_a_sentence(case):
    chosen, data = case
    checkpoint = begin(case)
    chosen["network"]["arguments"] = {"hidden": [9]}
    with pytest.raises(UserError, match="does not fit its network") as caught:
        network_at(RUN, chosen, data, checkpoint)
    assert "\n" not in str(caught.value)


# Checkpoint files ---------------------------------------------------------------------------------


@pytest.fixture
def saved(case, tmp_path) -> Path:
    path = tmp_path / "epoch-002.pt"
    save_checkpoint(path, train(case, begin(case), 2))
    return path


def test_a_checkpoint_is_read_back_equal(case, saved):
    assert same(load_checkpoint(saved), train(case, begin(case), 2))
    digest, name = saved.with_name("epoch-002.pt.sha256").read_text().split()
    assert digest == sha256_of_file(saved)
    assert name == "epoch-002.pt"


def test_bytes_do_not_depend_on_the_name(case, saved, tmp_path):
    other = tmp_path / "another folder/with-a-longer-name.pt"
    save_checkpoint(other, train(case, begin(case), 2))
    assert other.read_bytes() == saved.read_bytes()
    save_checkpoint(other, load_checkpoint(saved))
    assert other.read_bytes() == saved.read_bytes(), "nor on having been read"


def test_a_flipped_byte_anywhere_is_found(saved):
    content = saved.read_bytes()
    for position in [*range(0, len(content), len(content) // 97), len(content) - 1]:
        damaged = bytearray(content)
        damaged[position] ^= 1
        saved.write_bytes(damaged)
        with pytest.raises(UserError, match=r"epoch-002\.pt is damaged") as caught:
            load_checkpoint(saved)
        assert "delete it" in str(caught.value)


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_checkpoint_is_found(saved, part):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(part * len(content))])
    with pytest.raises(UserError, match=r"epoch-002\.pt is damaged"):
        load_checkpoint(saved)


def test_a_missing_file_or_digest_is_a_sentence(saved):
    digest = saved.with_name("epoch-002.pt.sha256")
    text = digest.read_text()
    digest.unlink()
    with pytest.raises(UserError, match=r"epoch-002\.pt\.sha256 does not exist; run `snakemake"):
        load_checkpoint(saved)
    for damaged in ("", "\n", text[:10], "0" * 64 + "  epoch-002.pt\n"):
        digest.write_text(damaged)
        with pytest.raises(UserError, match=r"epoch-002\.pt is damaged"):
            load_checkpoint(saved)
    digest.write_text(text)
    saved.unlink()
    with pytest.raises(UserError, match=r"epoch-002\.pt does not exist; run `snakemake"):
        load_checkpoint(saved)


class Harmful:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return pytest.fail, ("unpickling ran what the file says",)


def test_loading_runs_no_code(tmp_path):
    path = tmp_path / "epoch-000.pt"
    torch.save({"epoch": Harmful()}, path)
    digest = f"{sha256_of_file(path)}  epoch-000.pt\n"
    path.with_name("epoch-000.pt.sha256").write_text(digest)
    with pytest.raises(UserError, match=r"epoch-000\.pt is damaged"):
        load_checkpoint(path)


def test_a_failing_write_leaves_the_checkpoint(case, saved, monkeypatch):
    before = load_checkpoint(saved)
    monkeypatch.setattr(torch, "save", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_checkpoint(saved, begin(case))
    assert same(load_checkpoint(saved), before)


# Losses -------------------------------------------------------------------------------------------


def test_verify_loss_catches_other_weights_and_data(case, saved):
    chosen, data = case
    checkpoint = load_checkpoint(saved)
    network = network_at(RUN, chosen, data, checkpoint)
    assert not network.training
    assert verify_loss(network, chosen, data, checkpoint) == checkpoint.history[-1][2]

    other_labels = np.roll(data.train_targets, 1)
    changed = Dataset(
        data.train_inputs,
        other_labels,
        data.held_out_inputs,
        data.held_out_targets,
        data.classes,
        data.kind,
    )
    with pytest.raises(UserError, match="data or network have changed"):
        verify_loss(network, chosen, changed, checkpoint)

    with torch.no_grad():
        next(network.parameters()).mul_(1.01)
    with pytest.raises(UserError, match="the training loss at epoch 2 is"):
        verify_loss(network, chosen, data, checkpoint)


def test_mean_squared_error_by_hand():
    loss = loss_function("mean_squared_error")
    outputs = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
    assert loss(outputs, torch.tensor([0, 1])) == (0 + 4 + 9 + 16) / 2
    assert loss(outputs, torch.tensor([[1.0, 1.0], [1.0, 1.0]])) == (0 + 1 + 4 + 16) / 2
    assert loss(outputs[:, :1], torch.tensor([1.0, 1.0])) == (0 + 4) / 2, "one number per example"


@pytest.mark.parametrize("shape", [(), (1,), (2,), (2, 3)])
def test_regression(tmp_path, shape):
    rng = np.random.default_rng(0)
    arrays = {}
    weights = rng.standard_normal((4, *shape))
    for part, count in (("train", 60), ("test", 10)):
        arrays[f"{part}_inputs"] = rng.standard_normal((count, 4))
        arrays[f"{part}_targets"] = np.tensordot(arrays[f"{part}_inputs"], weights, axes=1)
    np.savez(tmp_path / "numbers.npz", **arrays)
    chosen = settings(tmp_path / "numbers.npz", loss="mean_squared_error", schedule="constant")
    chosen["network"]["arguments"] = {"hidden": []}
    case = chosen, load_dataset(chosen["dataset"], tmp_path)
    checkpoint = train(case, begin(case), EPOCHS)
    assert checkpoint.history[-1][2] < 0.1 * checkpoint.history[0][2]
    assert all(math.isnan(row[3]) and math.isnan(row[5]) for row in checkpoint.history)
    network = network_at(RUN, *case, checkpoint)
    outputs = network(torch.from_numpy(case[1].train_inputs)).detach().numpy()
    errors = (outputs - case[1].train_targets.reshape(60, -1)) ** 2
    assert verify_loss(network, *case, checkpoint) == pytest.approx(errors.sum(1).mean(), rel=1e-5)


def test_cross_entropy_of_numbers_is_a_sentence(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        f"{part}_{what}": rng.standard_normal((20, width)).astype(np.float32)
        for part in ("train", "test")
        for what, width in (("inputs", 4), ("targets", 2))
    }
    np.savez(tmp_path / "numbers.npz", **arrays)
    chosen = settings(tmp_path / "numbers.npz")
    with pytest.raises(UserError, match="mean_squared_error"):
        begin((chosen, load_dataset(chosen["dataset"], tmp_path)))


# Augmentation -------------------------------------------------------------------------------------


def test_flip_crop_gives_crops_of_the_padded_image_or_its_mirror():
    torch.manual_seed(0)
    n, height, width = 150, 30, 32  # padded by an eighth of the side, 4
    x = torch.randn(n, 3, height, width)
    black = x.amin()
    y = flip_crop(x, black=black)
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    padded = torch.full((n, 3, height + 8, width + 8), float(black))
    padded[:, :, 4:-4, 4:-4] = x
    seen = set()
    for i in range(n):
        found = [
            (flipped, top, left)
            for flipped, image in ((False, padded[i]), (True, padded[i].flip(2)))
            for top in range(9)
            for left in range(9)
            # x - black + black is x to round-off
            if torch.allclose(
                y[i], image[:, top : top + height, left : left + width], rtol=0, atol=1e-5
            )
        ]
        assert found, f"example {i} is no crop of its own image"
        seen.update(found)
    assert {top for _, top, _ in seen} == {left for _, _, left in seen} == set(range(9))
    assert {flipped for flipped, _, _ in seen} == {False, True}


def test_flip_crop_leaves_its_input_alone_and_draws_anew():
    torch.manual_seed(0)
    x = torch.randn(8, 1, 5, 5)
    before = x.clone()
    first, second = flip_crop(x, black=x.amin()), flip_crop(x, black=x.amin())
    assert torch.equal(x, before)
    assert not torch.equal(first, second)
    torch.manual_seed(0)
    torch.randn(8, 1, 5, 5)
    assert torch.equal(first, flip_crop(x, black=x.amin()))
