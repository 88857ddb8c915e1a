"""Hundreds of outermost eigenvalues: equal to LAPACK's one for one, and none missed."""

import io
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch.nn import functional

from hessian_rmt.config import check_config
from hessian_rmt.curvature import HessianOperator, exact_spectrum, extreme
from hessian_rmt.curvature.certified_run import certified_run, local_mean_spacing
from hessian_rmt.curvature.extreme import (
    _SEMI_ORTHOGONAL,
    _deflated_chain,
    _lanczos,
    _ritz_pairs,
    _sweep,
    extreme_eigenvalues,
)
from hessian_rmt.curvature.extreme_batches import extreme_table
from hessian_rmt.curvature.outliers import draw_batch
from hessian_rmt.errors import UserError
from hessian_rmt.jobs import Log
from hessian_rmt.networks.mlp import mlp
from hessian_rmt.rmt.extreme_statistics import (
    ARMS,
    DROPPED,
    FRONTIER,
    SUMMARY_COLUMNS,
    certified_ends,
    extreme_statistics,
    summary_rows,
)
from hessian_rmt.rmt.local_tests import goe_eigenvalues, mean_bounded_ratio, ratio_agreement
from hessian_rmt.seeds import derive_seed
from matrices import Dense, symmetric

ROOT = Path(__file__).parents[1]
EPS = np.finfo(float).eps
SIZE = 400


def wigner(size=SIZE, seed=0):
    matrix = np.random.default_rng(seed).standard_normal((size, size))
    return (matrix + matrix.T) / np.sqrt(2 * size)


def heavy_tails(size=SIZE, seed=0):
    """A density that grows steeply inwards from either end, as a network's, and 100 zeros."""
    rank = np.arange(1, (size - 100) // 2 + 1)
    jitter = np.random.default_rng(seed).uniform(0.9, 1.1, (2, len(rank)))
    return np.concatenate([-2 * jitter[0] / rank**0.7, np.zeros(100), 20 * jitter[1] / rank])


def doubled(values):
    """With some eigenvalues at either end of multiplicity two and three."""
    values = np.sort(values)
    values[[2, 12, -4, -20]] = values[[1, 11, -3, -19]]
    values[[13, -21]] = values[[11, -19]]
    return values


MATRICES = {
    "wigner": wigner(),
    "outliers": wigner() + symmetric([1e4, 50.0, -30.0] + [0.0] * (SIZE - 3)),
    "heavy tails": symmetric(heavy_tails()),
    "shifted": wigner() + 100 * np.eye(SIZE),
    "double": symmetric(doubled(np.linalg.eigvalsh(wigner(seed=2)))),
}


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("seed", [0, 1])
def test_certified_values_are_lapacks_one_for_one(name, seed):
    matrix = MATRICES[name]
    exact = np.linalg.eigvalsh(matrix)
    found = extreme_eigenvalues(Dense(matrix), 200, seed=seed)
    lower, upper = found.lower, found.upper
    # of a triple eigenvalue a third vector need not have come up: the block ends before it
    assert min(len(lower), len(upper)) >= (3 if name == "double" else 20)
    accuracy = np.linalg.norm(np.r_[found.residuals[: found.bottom], found.residuals[-found.top :]])
    round_off = 100 * EPS * np.abs(exact).max()
    assert np.abs(lower - exact[: len(lower)]).max() <= accuracy + round_off
    assert np.abs(upper - exact[-len(upper) :]).max() <= accuracy + round_off
    # that accuracy is fine compared with what local statistics are about
    assert accuracy < 0.1 * min(np.diff(lower).mean(), np.diff(upper).mean())


@pytest.mark.parametrize("name", MATRICES)
def test_an_eigenvalue_lies_within_every_residual(name):
    matrix = MATRICES[name]
    exact = np.linalg.eigvalsh(matrix)
    found = extreme_eigenvalues(Dense(matrix), 150)
    distance = np.abs(found.values[:, None] - exact).min(axis=1)
    assert (distance <= found.residuals + 100 * EPS * np.abs(exact).max()).all()
    # those far inside have not converged
    assert found.residuals.max() > 1e-3 * np.ptp(np.quantile(exact, [0.1, 0.9]))


@pytest.mark.parametrize("name", MATRICES)
def test_the_recurrence_holds_and_residuals_are_true(name):
    matrix = MATRICES[name]
    norm = np.linalg.norm(matrix, 2)
    start = torch.from_numpy(np.random.default_rng(5).standard_normal(SIZE))
    V, C, coupling = _lanczos(Dense(matrix), start, 120)
    remainder = matrix @ V.numpy().T - V.numpy().T @ C
    assert np.abs(remainder[:, :-1]).max() <= 100 * EPS * norm
    assert np.isclose(np.linalg.norm(remainder[:, -1]), coupling, rtol=1e-7)
    gram = (V @ V.T).numpy()
    assert np.abs(gram - np.eye(120)).max() <= 10 * _SEMI_ORTHOGONAL
    theta, s, residuals = _ritz_pairs(C, coupling, gram)
    x = V.numpy().T @ s
    x /= np.linalg.norm(x, axis=0)
    true = np.linalg.norm(matrix @ x - x * theta, axis=0)
    assert (true <= residuals + 1000 * EPS * norm).all()
    large = true > 1e-4 * norm
    assert np.allclose(true[large], residuals[large], rtol=1e-3)  # a bound, and a tight one


@pytest.mark.parametrize("name", MATRICES)
def test_a_sweep_is_due_now_and_then_and_without_sweeps_the_basis_is_lost(name, monkeypatch):
    sweeps = []

    def counted(w, basis, coefficients=None):
        sweeps.append(len(basis))
        return _sweep(w, basis, coefficients)

    start = torch.from_numpy(np.random.default_rng(1).standard_normal(SIZE))
    monkeypatch.setattr(extreme, "_sweep", counted)
    _lanczos(Dense(MATRICES[name]), start, 150)
    assert 2 <= len(sweeps) < 100
    monkeypatch.setattr(extreme._Overlaps, "next", lambda self, alpha, beta: 0.0)
    with pytest.raises(ValueError, match="not symmetric"):
        extreme_eigenvalues(Dense(MATRICES[name]), 150)


def test_a_stricter_share_and_a_longer_check_change_the_blocks_as_they_should():
    operator = Dense(MATRICES["wigner"])
    usual = extreme_eigenvalues(operator, 200)
    strict = extreme_eigenvalues(operator, 200, share=1e-6)
    checked = extreme_eigenvalues(operator, 200, check_products=100)
    assert strict.top < usual.top
    assert strict.bottom < usual.bottom
    assert len(checked.upper) > len(usual.upper)
    assert (checked.top, checked.matvecs) == (usual.top, 300)


class Hiding(Dense):
    """The matrix without its eigenvector u in the first products: as if the start had missed u."""

    def __init__(self, matrix, value, vector, products):
        super().__init__(matrix)
        self.hidden = self.matrix - value * torch.outer(vector, vector)
        self.left = products

    def matvec(self, v):
        self.left -= 1
        return (self.hidden if self.left >= 0 else self.matrix) @ v


@pytest.mark.parametrize("rank", [2, 10, 25])
@pytest.mark.parametrize("end", [1, -1])
def test_a_missed_eigenvalue_ends_the_block(rank, end):
    matrix = end * wigner(seed=2)
    exact, vectors = np.linalg.eigh(matrix)
    missed = exact[rank] if end < 0 else exact[-rank - 1]
    vector = torch.from_numpy(vectors[:, rank if end < 0 else -rank - 1].copy())
    found = extreme_eigenvalues(Hiding(matrix, missed, vector, 220), 220, seed=3)
    assert (found.bottom if end < 0 else found.top) > rank + 5  # all that a residual can tell
    kept, other = (found.lower, found.upper)[::end][::-1]
    assert len(kept) <= rank
    assert (found.floor <= missed) if end < 0 else (found.ceiling >= missed)
    expected = exact[: len(kept)] if end < 0 else exact[len(exact) - len(kept) :]
    assert np.allclose(kept, expected, rtol=0, atol=1e-4)
    assert len(other) > 20


def test_the_check_bounds_the_extremes_of_what_is_left():
    matrix = wigner(300, seed=4)
    exact, vectors = np.linalg.eigh(matrix)
    X = torch.from_numpy(np.ascontiguousarray(np.c_[vectors[:, :30], vectors[:, -50:]].T))
    for seed in range(20):
        start = torch.from_numpy(np.random.default_rng(seed).standard_normal(300))
        chain = _deflated_chain(Dense(matrix), X, start, 40)
        assert len(chain.alphas) == len(chain.betas) == 40
        low, high = chain.reach(extreme.FAILURE)
        assert low <= exact[30] <= chain.low + 1e-12
        assert chain.high - 1e-12 <= exact[-51] <= high
        assert high - exact[-51] < 0.02 * np.ptp(exact)
        assert exact[30] - low < 0.02 * np.ptp(exact)


def test_the_same_seed_gives_the_same_bits_and_another_the_same_eigenvalues():
    operator = Dense(MATRICES["heavy tails"])
    first, again, other = (extreme_eigenvalues(operator, 200, seed=s) for s in (0, 0, 1))
    for name, value in asdict(first).items():
        assert np.array_equal(value, getattr(again, name))
    assert not np.array_equal(first.values, other.values)
    count = min(len(first.upper), len(other.upper))
    assert np.allclose(first.upper[-count:], other.upper[-count:], rtol=0, atol=1e-4)


def test_a_krylov_space_that_ends_gives_every_eigenvalue_but_no_zero():
    factor = np.random.default_rng(0).standard_normal((SIZE, 60))
    matrix = factor @ factor.T / 60
    found = extreme_eigenvalues(Dense(matrix), 150)
    assert 61 <= len(found.values) < 80  # 60, and vectors of the null space
    assert len(found.lower) == 0  # the zeros are the bottom, and of multiplicity 340
    assert np.allclose(found.upper, np.linalg.eigvalsh(matrix)[-60:], rtol=1e-10)


def small_network(dtype, seed=0):
    torch.manual_seed(seed)
    network = mlp((20,), 5, hidden=[15, 15]).to(dtype)
    x = torch.randn(60, 20, dtype=torch.float64).to(dtype)
    return network, x, torch.randint(5, (60,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_networks_hessian_is_certified_in_double_precision(dtype):
    network, x, y = small_network(dtype)
    with torch.no_grad():
        for p in network.parameters():
            p.mul_(2)
    exact = exact_spectrum(network.double(), functional.cross_entropy, x.double(), y).eigenvalues
    hessian = HessianOperator(network.to(dtype), functional.cross_entropy, x, y)
    found = extreme_eigenvalues(hessian, 200)
    assert found.residuals[-1] < 1e-7 * exact[-1]  # below single precision's round-off
    assert min(len(found.lower), len(found.upper)) >= 20
    accuracy = 0.02 * np.diff(found.upper).mean()
    assert np.abs(found.upper - exact[-len(found.upper) :]).max() < accuracy
    assert np.abs(found.lower - exact[: len(found.lower)]).max() < accuracy


def test_zeros_outside_the_inputs_span_lie_between_the_ends():
    torch.manual_seed(0)
    network = mlp((50,), 3, hidden=[8]).double()
    x, y = torch.randn(6, 50, dtype=torch.float64), torch.randint(3, (6,))
    hessian = HessianOperator(network, functional.cross_entropy, x, y)
    assert hessian.core.shape[0] < hessian.shape[0]
    found = extreme_eigenvalues(hessian, hessian.core.shape[0] - 1)
    assert found.floor <= 0 <= found.ceiling
    exact = exact_spectrum(network, functional.cross_entropy, x, y).eigenvalues
    assert np.allclose(found.upper, exact[len(exact) - len(found.upper) :], atol=1e-8)


def test_a_table_is_that_of_the_batch_that_its_address_names():
    network, x, y = small_network(torch.float64)
    settings = {"seed": 3, "compute": {"memory_mb": 100}}
    settings["extreme"] = {"products": 100, "memory_mb": 100}
    log = io.StringIO()
    table = extreme_table(
        "run", settings, network, functional.cross_entropy, x, y, 5, "draw-000032-02", Log(log)
    )
    batch = draw_batch(3, "run", 5, 32, 2, len(x))
    hessian = HessianOperator(network, functional.cross_entropy, x[batch], y[batch])
    again = extreme_eigenvalues(hessian, 100, seed=derive_seed(3, "run", "extreme", 5, 32, 2))
    for name, value in asdict(again).items():
        assert np.array_equal(table[name], value)
    assert (table["batch_size"], table["seed"]) == (32, 2)
    assert table["batch_loss"] == hessian.value
    assert f"{len(again.upper)} above" in log.getvalue()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"products": 10}, r"extreme\.products is 10, but must be an integer from 50"),
        ({"product": 100}, r"extreme\.product is no known key \(did you mean products\?\)"),
    ],
)
def test_mistakes_in_config_are_sentences(settings, words):
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["runs"]["mlp_wide_mnist"]["extreme"] = settings
    with pytest.raises(UserError, match=words):
        check_config(config)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"products": SIZE}, "exact_spectrum"), ({"products": 100, "memory_mb": 0.1}, "memory_mb")],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(options, words):
    with pytest.raises(UserError, match=words):
        extreme_eigenvalues(Dense(MATRICES["wigner"]), **options)


@pytest.mark.parametrize("defect", ["nan", "asymmetric"])
def test_products_that_are_no_hessians_are_refused(defect):
    matrix = wigner()
    if defect == "nan":
        matrix[3, 5] = np.nan
    else:
        matrix += 1e-3 * np.triu(wigner(seed=1))
    with pytest.raises(ValueError, match=r"NaN|not symmetric"):
        extreme_eigenvalues(Dense(matrix), 100)
    with pytest.raises(ValueError, match="check_products"):
        extreme_eigenvalues(Dense(matrix), 100, check_products=3)


# Runs of certified values ------------------------------------------------------------------------


def test_local_mean_spacing_is_exact_where_spacings_are_equal_and_near_the_density_elsewhere():
    assert np.allclose(local_mean_spacing(3.0 * np.arange(50)), 3.0)
    x = np.exp(np.linspace(0, 5, 400))
    inner = slice(10, -10)
    assert np.allclose(local_mean_spacing(x)[inner], x[inner] * 5 / 399, rtol=0.01)


def test_a_run_ends_at_its_first_doubtful_value_and_keeps_small_gaps():
    values = np.arange(100.0)
    values[90] = values[91] - 1e-6  # a gap far below the residuals
    residuals = np.full(100, 5e-3)
    residuals[[30, 60]] = 0.5
    assert certified_run(residuals / local_mean_spacing(values)) == (30, 39)
    assert certified_run(np.full(100, 5e-3)) == (100, 100)
    assert certified_run(np.full(100, 5e-2)) == (0, 0)


# Statistics ---------------------------------------------------------------------------------------


def outermost(levels, count=120):
    """A table as a run would give it: `count` certified values at each end, the others not."""
    n = len(levels)
    return {
        "values": levels,
        "relative_residuals": np.zeros(n),
        "share": 0.01,
        "bottom": count,
        "top": count,
        "floor": levels[count] - 1e-12,
        "ceiling": levels[-count - 1] + 1e-12,
    }


def test_tables_and_results_agree_about_the_ends():
    found = extreme_eigenvalues(Dense(MATRICES["heavy tails"]), 200)
    lower, upper = certified_ends(asdict(found))
    assert np.array_equal(lower, found.lower)
    assert np.array_equal(upper, found.upper)


def test_goe_ends_pass_and_poisson_ends_of_the_same_density_are_rejected():
    rng = np.random.default_rng(0)
    goe = [goe_eigenvalues(1000, rng) for _ in range(6)]
    pooled = np.sort(np.concatenate(goe))
    poisson = [np.sort(rng.choice(pooled, 1000, replace=False)) for _ in range(6)]
    passed = extreme_statistics([outermost(x) for x in goe], replicates=99, seed=0)
    failed = extreme_statistics([outermost(x) for x in poisson], replicates=99, seed=0)
    for arm in ("top", "bottom", "both"):
        assert passed[f"{arm}/ratio_p_value"] > 0.01
        assert passed[f"{arm}/mean_ratio_p_value"] > 0.01
        assert abs(passed[f"{arm}/z_goe"]) < 4
        assert failed[f"{arm}/ratio_p_value"] == 0.01  # the least there is
        assert failed[f"{arm}/z_goe"] < -6
    assert passed["both/z_poisson"] > 8
    assert abs(failed["both/z_poisson"]) < 4
    assert passed["both/eigenvalues"] == 6 * 2 * (120 - DROPPED - FRONTIER)
    rows = summary_rows("run", 3, passed)
    assert [row[2] for row in rows] == list(ARMS)
    assert all(len(row) == len(SUMMARY_COLUMNS) for row in rows)


def test_certified_eigenvalues_pass_where_ritz_values_further_in_are_rejected():
    found = [extreme_eigenvalues(Dense(wigner(800, seed)), 480, seed=seed) for seed in range(4)]
    statistics = extreme_statistics([asdict(x) for x in found], replicates=99, seed=0)
    assert statistics["both/ratio_p_value"] > 0.01
    assert abs(statistics["both/z_goe"]) < 4
    assert statistics["control/ratio_p_value"] == 0.01
    assert statistics["control/mean_bounded_ratio"] > 0.6  # evenly spaced, no eigenvalues
    for end, lengths in (("top", [len(x.upper) for x in found]), ("bottom", None)):
        shares, certified = statistics[f"{end}/relative_residual"], statistics[f"{end}/certified"]
        assert lengths is None or certified.tolist() == lengths
        assert all(
            (row[:length] < 0.01).all() for row, length in zip(shares, certified, strict=True)
        )


def test_too_few_eigenvalues_are_refused_in_a_sentence():
    with pytest.raises(UserError, match=r"extreme\.products"):
        extreme_statistics([outermost(np.arange(100.0), 40)], replicates=19, seed=0)


def test_neither_outliers_nor_the_frontier_count():
    levels = goe_eigenvalues(500, np.random.default_rng(3))
    count = 100
    changed = levels.copy()
    inner = count - FRONTIER
    for values in (changed, changed[::-1]):  # equally spaced: ratios of one
        values[:DROPPED] = np.linspace(values[0], values[DROPPED], DROPPED, endpoint=False)
        values[inner:count] = np.linspace(values[inner - 1], values[count], FRONTIER + 2)[1:-1]
    before, after = (
        extreme_statistics([outermost(x, count)], replicates=19, seed=0) for x in (levels, changed)
    )
    assert np.array_equal(before["both/bounded_ratios"], after["both/bounded_ratios"])


def laguerre_top(rng, size=500, samples=700, count=150):
    """The top of a Wishart spectrum, by its bidiagonal model."""
    diagonal = np.sqrt(rng.chisquare(np.arange(samples, samples - size, -1)))
    below = np.sqrt(rng.chisquare(np.arange(size - 1, 0, -1)))
    factor = np.diag(diagonal) + np.diag(below, -1)
    return np.linalg.eigvalsh(factor @ factor.T)[-count:-DROPPED]


EDGES = {"goe": lambda rng: goe_eigenvalues(600, rng)[-150:-DROPPED], "wishart": laguerre_top}


@pytest.mark.slow
@pytest.mark.parametrize("edge", EDGES)
def test_p_values_are_uniform_and_means_unbiased_near_edges(edge):
    rng, sets = np.random.default_rng(7), 40
    p_values, means = [], []
    for seed in range(sets):
        spectra = [EDGES[edge](rng) for _ in range(3)]
        agreement = ratio_agreement(spectra, bounded=True, replicates=99, seed=seed % 2)
        p_values.append([agreement.distance.p_value, agreement.mean.p_value])
        means.append(mean_bounded_ratio(spectra).mean)
    # the mean of 40 uniform numbers, and of their indicators of the lowest tenth, within 3.5 sigma
    assert np.abs(np.mean(p_values, axis=0) - 0.5).max() < 3.5 * np.sqrt(1 / 12 / sets)
    assert np.mean(np.array(p_values) <= 0.1, axis=0).max() < 0.1 + 3.5 * np.sqrt(0.09 / sets)
    assert abs(np.mean(means) - 0.5307) < 3.5 * np.std(means) / np.sqrt(sets)
