"""Tail averages: the mean of the iterates, statistics of its own, and no trace of interruptions."""

import copy
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from hessian_rmt.averaging import TailAverage, averaged_weights, equal_batches, table
from hessian_rmt.data.loading import load_dataset
from hessian_rmt.errors import UserError
from hessian_rmt.generalisation.tail_averages import (
    averaging_statistics,
    paired,
    sign_flip_p_value,
    summary_rows,
)
from hessian_rmt.storage import read_csv, write_csv
from hessian_rmt.training import (
    HISTORY_COLUMNS,
    Checkpoint,
    learning_rate,
    load_checkpoint,
    network_at,
    save_checkpoint,
)
from test_training import NETWORKS, Quiet, begin, equal, images, same, settings, train

EPOCHS, FIRST = 5, 3


@pytest.fixture(params=["mlp", "batch_norm"])
def case(request, tmp_path, monkeypatch):
    chosen = settings(images(tmp_path / "images.npz"), average_from=FIRST)
    if request.param == "batch_norm":
        (tmp_path / "networks_of_test_averaging.py").write_text(NETWORKS)
        monkeypatch.syspath_prepend(tmp_path)
        name = "networks_of_test_averaging:dropout"
        chosen["network"] = {"name": name, "arguments": {"width": 3}}
        chosen["training"]["augmentation"] = "flip_crop"
    return chosen, load_dataset(chosen["dataset"], tmp_path)


def parameters(case, weights) -> dict[str, torch.Tensor]:
    network = network_at("tiny", *case, Checkpoint(0, weights, {}, ""))
    return {name: weights[name] for name, _ in network.named_parameters()}


def test_the_average_is_the_mean_of_the_checkpoints(case):
    """To the round-off of a running mean of 3 numbers in single precision."""
    step, stored = begin(case), []
    for epoch in range(1, EPOCHS + 1):
        step = train(case, step, epoch)
        stored.append(copy.deepcopy(parameters(case, step.weights)))
        assert bool(step.average) == (epoch >= FIRST)
    weights, count = averaged_weights(step.average)
    assert count == EPOCHS - FIRST + 1
    for name, value in parameters(case, weights).items():
        iterates = torch.stack([of_epoch[name].double() for of_epoch in stored[FIRST - 1 :]])
        error = (value.double() - iterates.mean(0)).abs()
        assert torch.all(error <= 4 * torch.finfo(torch.float32).eps * iterates.abs().amax(0)), name


def test_an_average_leaves_the_training_alone(case):
    plain = copy.deepcopy(case[0])
    del plain["training"]["average_from"]
    with_average, without = (
        train(case, begin(case), EPOCHS),
        train((plain, case[1]), begin((plain, case[1])), EPOCHS),
    )
    assert equal(with_average.weights, without.weights)
    assert equal(with_average.history, without.history)
    assert without.average == {}


def test_interruptions_and_segments_change_no_bit(case, tmp_path):
    whole = train(case, begin(case), EPOCHS)
    assert whole.average["history"]
    path = tmp_path / "epoch.pt"
    for cut in range(1, EPOCHS):
        save_checkpoint(path, train(case, begin(case), cut))
        assert same(train(case, load_checkpoint(path), EPOCHS), whole)
    for stop in range(2, EPOCHS + 1):
        state = tmp_path / f"{stop}/state.pt"
        with pytest.raises(KeyboardInterrupt):
            train(case, begin(case), EPOCHS, Quiet(stop=stop, when="amid"), state=state)
        torch.manual_seed(stop)
        assert same(train(case, begin(case), EPOCHS, state=state), whole)


def test_statistics_are_those_of_the_average(tmp_path):
    """After one pass each BatchNorm layer holds the mean of its batches' statistics."""
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    inputs = torch.randn(20, 3)
    average = TailAverage(network, 1, {})
    for epoch in (1, 2):
        with torch.no_grad():
            for p in network.parameters():
                p.add_(torch.randn_like(p))
            network[1].running_mean.fill_(9.0)  # a network's own statistics do not enter
        average.add(epoch, network, lambda: inputs.split(8), lambda _: [0.0])
    weights, count = averaged_weights(average.state())
    assert count == 2
    batches = [x @ weights["0.weight"].T + weights["0.bias"] for x in inputs[:16].split(8)]
    mean = torch.stack([z.mean(0) for z in batches]).mean(0)
    variance = torch.stack([z.var(0) for z in batches]).mean(0)
    torch.testing.assert_close(weights["1.running_mean"], mean)
    torch.testing.assert_close(weights["1.running_var"], variance)


def test_the_first_average_is_the_iterate(case):
    """Without BatchNorm and dropout to the bit; the iterate itself is evaluated as ever."""
    checkpoint = train(case, begin(case), FIRST)
    weights, count = averaged_weights(checkpoint.average)
    assert count == 1
    assert equal(parameters(case, weights), parameters(case, checkpoint.weights))
    if case[0]["network"]["name"] == "mlp":
        assert checkpoint.average["history"][0] == checkpoint.history[-1]


def test_a_smaller_last_batch_is_left_out():
    sizes = [len(batch) for batch in equal_batches(torch.arange(20).split(8))]
    assert sizes == [8, 8]
    assert [len(batch) for batch in equal_batches(torch.arange(3).split(8))] == [3]
    assert list(equal_batches([])) == []


def test_an_average_of_another_network_is_a_sentence(case):
    checkpoint = train(case, begin(case), FIRST)
    with pytest.raises(UserError, match="does not fit its network") as caught:
        TailAverage(nn.Linear(2, 2), FIRST, checkpoint.average)
    assert "\n" not in str(caught.value)


def test_step_decay():
    chosen = {"schedule": "step_decay", "learning_rate": 0.1, "epochs": 90}
    rates = {epoch: learning_rate(chosen, epoch) for epoch in (1, 30, 31, 60, 61, 90)}
    expected = {1: 0.1, 30: 0.1, 31: 0.01, 60: 0.01, 61: 0.001, 90: 0.001}
    assert rates == pytest.approx(expected)
    for epochs in (1, 2, 4, 15, 300):  # scaled to the budget, whatever it is
        chosen["epochs"] = epochs
        rates = [learning_rate(chosen, epoch) for epoch in range(1, epochs + 1)]
        assert rates[0] == 0.1
        assert all(late <= early for early, late in pairwise(rates))
        if epochs % 3 == 0:
            assert rates == pytest.approx([0.1 * 10.0 ** -(3 * e // epochs) for e in range(epochs)])


def test_streams_are_shared_and_names_are_not(case):
    """Runs of one stream begin with the same weights and batches; others do not."""
    from hessian_rmt.training import initial_checkpoint, train_segment

    chosen, data = case
    runs = {}
    for name, stream in (("a", "s"), ("b", "s"), ("c", "t"), ("d", None)):
        own = copy.deepcopy(chosen)
        if stream:
            own["training"]["stream"] = stream
        start = initial_checkpoint(name, own, data)
        runs[name] = train_segment(name, own, data, start, 1, Quiet()).weights
    assert equal(runs["a"], runs["b"])
    assert not equal(runs["a"], runs["c"])
    assert not equal(runs["a"], runs["d"])


# Tables and statistics ----------------------------------------------------------------------------


def test_the_table_of_a_training_with_an_average(case, tmp_path):
    checkpoint = train(case, begin(case), EPOCHS)
    path = tmp_path / "training.csv"
    write_csv(path, *table(HISTORY_COLUMNS, checkpoint.history, checkpoint.average))
    columns = read_csv(path)
    assert list(columns)[: len(HISTORY_COLUMNS)] == list(HISTORY_COLUMNS)
    held_out = columns["average_held_out_loss"]
    assert np.isnan(held_out[:FIRST]).all()
    rows = checkpoint.average["history"]
    np.testing.assert_array_equal(held_out[FIRST:], [row[4] for row in rows])
    names, rows = table(HISTORY_COLUMNS, checkpoint.history, {})
    assert names == list(HISTORY_COLUMNS)
    assert math.isnan(rows[0][1])


def test_a_table_that_is_none_is_a_sentence(tmp_path):
    path = tmp_path / "training.csv"
    with pytest.raises(UserError, match="does not exist"):
        read_csv(path)
    path.write_text("epoch,loss\n0,many\n")
    with pytest.raises(UserError, match=r"no table of numbers"):
        read_csv(path)


def tables(errors, averages):
    epoch = np.arange(4.0)
    for error, average in zip(errors, averages, strict=True):
        yield {
            "epoch": epoch,
            "held_out_loss": np.full(4, error),
            "held_out_accuracy": np.full(4, 1 - error),
            "average_held_out_loss": np.array([np.nan, np.nan, average, average]),
            "average_held_out_accuracy": 1 - np.array([np.nan, np.nan, average, average]),
        }


def test_differences_are_paired():
    base = np.array([0.2, 0.3, 0.4, 0.5])
    arms = {
        "decayed": list(tables(base, base)),
        "high": list(tables(base + 0.1, base - np.array([0.01, 0.02, 0.03, 0.02]))),
    }
    found = averaging_statistics(arms, reference="decayed", averaged="high")
    difference = found["average_minus_reference/error/values"]
    np.testing.assert_allclose(difference, [-0.01, -0.02, -0.03, -0.02])
    assert found["average_minus_reference/error/mean"] == pytest.approx(-0.02)
    low, high = found["average_minus_reference/error/interval"]
    assert low < -0.02 < high < 0, "the spread between replicates is no part of it"
    assert found["average_minus_own_iterate/loss/mean"] == pytest.approx(-0.12)
    assert len(summary_rows(found)) == 6


def test_intervals_and_sign_flips_are_calibrated():
    rng = np.random.default_rng(23)
    inside, small = 0, 0
    for _ in range(1000):
        found = paired(rng.standard_normal(5))
        low, high = found["interval"]
        inside += low < 0 < high
        small += found["p_value"] <= 2 / 32
    assert abs(inside / 1000 - 0.95) < 0.021  # three standard errors
    assert abs(small / 1000 - 2 / 32) < 0.023
    assert sign_flip_p_value(np.array([1.0, 2.0, 3.0])) == 0.25
    assert sign_flip_p_value(np.full(20, 1.0)) < 1e-4
