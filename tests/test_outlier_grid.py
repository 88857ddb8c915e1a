"""The grid of batches: numbers depend on their address alone, and units merge into one table."""

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from hessian_rmt.curvature import outliers as module
from hessian_rmt.curvature.outliers import OutlierUnit, draw_batch, outlier_table, parse_unit
from hessian_rmt.errors import UserError
from hessian_rmt.jobs import job
from hessian_rmt.networks.mlp import mlp
from hessian_rmt.rmt.outlier_table import merge_outlier_tables

BATCH_SIZES, SEEDS, EPOCHS = [2, 6, 40], 3, [0, 5]
SETTINGS = {
    "seed": 2022,
    "curvature": {"outliers": 3, "tolerance": 1e-6, "memory_mb": 10},
    "compute": {"memory_mb": 500.0},
}


@pytest.fixture(scope="module")
def data():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(60, 1, 4, 4, generator=generator)
    inputs[:, :, 0] = 0
    return inputs, torch.randint(3, (60,), generator=generator)


@pytest.fixture
def solve(data, tmp_path):
    """The table of a unit, by a network built anew, as a job of its own would."""

    def solve_unit(unit, *, run="run", memory_mb=500.0):
        torch.manual_seed(1)
        network = mlp((1, 4, 4), 3, hidden=(5,)).eval()
        epoch, part = parse_unit(unit, BATCH_SIZES, SEEDS)
        settings = SETTINGS | {"compute": {"memory_mb": memory_mb}}
        with job(tmp_path / "log.txt") as log:
            loss = torch.nn.functional.cross_entropy
            return outlier_table(run, settings, network, loss, *data, epoch, part, log)

    return solve_unit


def units(epoch, job_per):
    name = f"epoch-{epoch:03d}"
    if job_per == "epoch":
        return [name]
    sizes = [f"{name}/batch-{size:06d}" for size in BATCH_SIZES]
    if job_per == "batch_size":
        return sizes
    return [f"{unit}/seed-{seed:02d}" for unit in sizes for seed in range(SEEDS)]


def run_of_units(solve, job_per, *, order=1, **options):
    pairs = [(epoch, unit) for epoch in EPOCHS for unit in units(epoch, job_per)][::order]
    tables = [solve(unit, **options) for _, unit in pairs]
    return merge_outlier_tables([epoch for epoch, _ in pairs], tables)


# With little memory the batches of 40 are streamed, the others kept.
@pytest.mark.parametrize("memory_mb", [500.0, 0.003])
def test_numbers_do_not_depend_on_the_cut(solve, memory_mb):
    whole = run_of_units(solve, "epoch", memory_mb=memory_mb)
    assert whole["values"].shape == whole["residuals"].shape == (2, 3, 3, 3)
    assert whole["converged"].all()
    for job_per, order in itertools.product(["batch_size", "seed"], [1, -1]):
        cut = run_of_units(solve, job_per, order=order, memory_mb=memory_mb)
        assert cut.keys() == whole.keys()
        for name in whole:
            assert cut[name].dtype == whole[name].dtype
            np.testing.assert_array_equal(cut[name], whole[name], err_msg=f"{job_per} {name}")


def test_numbers_do_not_depend_on_the_order_inside_a_unit(data, solve, tmp_path):
    whole = solve("epoch-005")
    torch.manual_seed(1)
    network = mlp((1, 4, 4), 3, hidden=(5,)).eval()
    part = OutlierUnit(BATCH_SIZES[::-1], [2, 0, 1])
    with job(tmp_path / "log.txt") as log:
        loss = torch.nn.functional.cross_entropy
        shuffled = outlier_table("run", SETTINGS, network, loss, *data, 5, part, log)
    merged, expected = merge_outlier_tables([5], [shuffled]), merge_outlier_tables([5], [whole])
    for name in expected:
        np.testing.assert_array_equal(merged[name], expected[name])


def test_numbers_are_those_of_the_dense_hessian_of_the_drawn_batch(solve, data):
    inputs, targets = data
    table = solve("epoch-005")
    torch.manual_seed(1)
    network = mlp((1, 4, 4), 3, hidden=(5,)).double()
    weights = {name: p.detach() for name, p in network.named_parameters()}
    sizes = [p.numel() for p in weights.values()]
    for i, size in enumerate(BATCH_SIZES):
        for seed in range(SEEDS):
            batch = draw_batch(SETTINGS["seed"], "run", 5, size, seed, len(inputs))

            def loss(flat, batch=batch):
                pieces = zip(weights.items(), flat.split(sizes), strict=True)
                values = {name: piece.reshape(p.shape) for (name, p), piece in pieces}
                logits = torch.func.functional_call(network, values, (inputs[batch].double(),))
                return torch.nn.functional.cross_entropy(logits, targets[batch])

            flat = torch.cat([p.flatten() for p in weights.values()])
            exact = torch.linalg.eigvalsh(torch.func.hessian(loss)(flat)).numpy()[::-1]
            round_off = 50 * np.finfo(np.float32).eps * np.abs(exact).max()
            limit = table["residuals"][i, seed].max() + round_off
            np.testing.assert_allclose(table["values"][i, seed], exact[:3], rtol=0, atol=limit)
            assert table["batch_loss"][i, seed] == pytest.approx(float(loss(flat)), rel=1e-5)


def test_units_are_parsed():
    assert parse_unit("epoch-005", [8, 16], 2) == (5, OutlierUnit([8, 16], [0, 1]))
    assert parse_unit("epoch-005/batch-000256", [8, 256], 2) == (5, OutlierUnit([256], [0, 1]))
    expected = (12, OutlierUnit([256], [3]))
    assert parse_unit("epoch-012/batch-000256/seed-03", [8, 256], 10) == expected


@pytest.mark.parametrize(
    "unit", ["epoch-005/batch-000000", "epoch-005/batch-000009", "epoch-005/batch-000008/seed-02"]
)
def test_units_off_the_grid_are_refused(unit):
    with pytest.raises(UserError, match="not in the run's grid"):
        parse_unit(unit, [8, 256], 2)


def synthetic(sizes, seeds, epoch, k=2):
    """A table whose numbers tell their address."""
    cell = epoch * 1e6 + np.add.outer(np.array(sizes) * 1e2, np.array(seeds))
    return {
        "batch_size": np.array(sizes),
        "seed": np.array(seeds),
        "values": cell[..., None] + np.arange(k) / 10,
        "converged": np.ones(cell.shape, dtype=bool),
    }


def test_merge_puts_each_cell_where_it_belongs():
    grid = [(epoch, size, seed) for epoch in (1, 7) for size in (4, 16, 64) for seed in (0, 1)]
    shuffled = [grid[i] for i in np.random.default_rng(0).permutation(len(grid))]
    tables = [synthetic([size], [seed], epoch) for epoch, size, seed in shuffled]
    merged = merge_outlier_tables([epoch for epoch, _, _ in shuffled], tables)
    np.testing.assert_array_equal(merged["epoch"], [1, 7])
    np.testing.assert_array_equal(merged["batch_size"], [4, 16, 64])
    np.testing.assert_array_equal(merged["seed"], [0, 1])
    for epoch, size, seed in grid:
        at = [(1, 7).index(epoch), (4, 16, 64).index(size), seed]
        np.testing.assert_array_equal(
            merged["values"][*at], epoch * 1e6 + size * 1e2 + seed + np.array([0, 0.1])
        )
    assert merged["converged"].dtype == bool


@pytest.mark.parametrize(
    "cells",
    [
        [(4, 0), (4, 1), (16, 0)],
        [(4, 0), (4, 1), (16, 0), (16, 1), (16, 1)],
        [(4, 0), (16, 1)],
    ],
)
def test_missing_or_doubled_units_are_an_error(cells):
    tables = [synthetic([size], [seed], 3) for size, seed in cells]
    with pytest.raises(UserError, match="fill"):
        merge_outlier_tables([3] * len(tables), tables)
    # An epoch short of one batch size
    with pytest.raises(UserError, match="fill"):
        merge_outlier_tables([3, 4], [synthetic([4, 16], [0], 3), synthetic([4], [0], 4)])


def test_batches_are_uniform_draws_with_replacement():
    examples, size = 50, 400
    counts = np.zeros(examples)
    for index in range(40):
        batch = draw_batch(1, "run", 3, size, index, examples)
        assert batch.shape == (size,)
        assert not batch.is_floating_point()
        assert 0 <= batch.min() <= batch.max() < examples
        counts += np.bincount(batch, minlength=examples)
    # With replacement: far more draws than examples, and counts that vary as multinomial ones do.
    statistic = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    assert 1e-4 < chi2.sf(statistic, examples - 1) < 1 - 1e-4


def test_each_part_of_an_address_gives_another_batch():
    base = {"master": 1, "run": "run", "epoch": 3, "size": 64, "index": 0, "examples": 1000}
    first = draw_batch(**base)
    assert torch.equal(first, draw_batch(**base))
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    assert torch.equal(first, draw_batch(**base))
    changes = {"master": 2, "run": "other", "epoch": 4, "size": 65, "index": 1}
    for name, value in changes.items():
        other = draw_batch(**(base | {name: value}))
        # Neither equal nor one the beginning of the other
        assert not torch.equal(other[:64], first[:64]), name


def test_a_table_holds_the_documented_fields(solve):
    table = solve("epoch-000/batch-000006/seed-01")
    assert set(module.TABLE_FIELDS) <= table.keys()
    assert table["values"].shape == (1, 1, 3)
    assert table["seed"].tolist() == [1]
    assert table["batch_size"].tolist() == [6]
