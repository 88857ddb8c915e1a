"""Spectral densities: Gauss quadrature against dense spectra and known laws; samples and noise."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch.nn import functional

from hessian_rmt.config import check_config
from hessian_rmt.curvature import HessianOperator, exact_spectrum, lanczos_quadrature
from hessian_rmt.curvature.density import HalvesDifference, density_table, parse_sample
from hessian_rmt.curvature.outliers import draw_batch
from hessian_rmt.data.augmentation import AugmentedSet, flipped_crops, padding
from hessian_rmt.errors import UserError
from hessian_rmt.jobs import Log
from hessian_rmt.networks.mlp import mlp
from hessian_rmt.networks.preresnet import preresnet
from hessian_rmt.networks.vgg import vgg
from hessian_rmt.rmt import MarchenkoPastur, Semicircle
from hessian_rmt.rmt.density_statistics import (
    AUGMENTED_COLUMNS,
    DRAW_COLUMNS,
    ENDS,
    augmented_rows,
    augmented_statistics,
    bulk_edges,
    draw_rows,
    draw_statistics,
    extreme_pair,
    noise_variance,
    relative_gap,
    truncated_extreme,
)
from hessian_rmt.rmt.spiked_wigner import (
    fitted_threshold,
    outermost_eigenvalue,
    spiked_goe,
    spiked_statistics,
    squared_overlap,
    summary_rows,
)
from hessian_rmt.seeds import derive_seed
from matrices import Dense, symmetric

ROOT = Path(__file__).parents[1]
EPS = np.finfo(float).eps
LOSS = functional.cross_entropy


def probe_vectors(size, probes, seed):
    rng = np.random.default_rng(seed)
    vectors = np.array([rng.standard_normal(size) for _ in range(probes)])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def small_network(seed=0, examples=30):
    torch.manual_seed(seed)
    network = mlp((6,), 3, hidden=[5], activation="tanh").double().eval()
    inputs = torch.randn(examples, 6, dtype=torch.float64)
    return network, inputs, torch.arange(examples) % 3


MATRICES = {
    "wigner": symmetric(np.linspace(-2, 2, 80)),
    "outliers": symmetric([*np.linspace(-0.1, 0.1, 77), 5.0, 8.0, -3.0]),
    "positive": symmetric(np.linspace(0.5, 20, 80) ** 2),
    "clusters": symmetric(np.repeat([1.0, 2.0, 7.0], [40, 30, 10])),
}


# Quadrature ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("steps", [1, 2, 6])
def test_moments_of_twice_as_many_orders_as_steps_are_exact(name, steps):
    matrix = MATRICES[name]
    found = lanczos_quadrature(Dense(matrix), steps, probes=3, seed=4)
    norm = np.linalg.norm(matrix, 2)
    for probe, v in enumerate(probe_vectors(len(matrix), 3, 4)):
        own = found.probe == probe
        weights, nodes = 3 * found.weights[own], found.nodes[own] / norm
        power = v
        for order in range(2 * steps):
            assert weights @ nodes**order == pytest.approx(v @ power, abs=200 * EPS), order
            power = matrix @ power / norm


@pytest.mark.parametrize("probes", [1, 4])
def test_moments_of_a_networks_hessian_are_exact(probes):
    network, inputs, targets = small_network()
    hessian = HessianOperator(network, LOSS, inputs, targets)
    dense = hessian @ np.eye(hessian.shape[0])
    found = lanczos_quadrature(hessian, 5, probes=probes, seed=1)
    assert found.matvecs == 5 * probes
    assert found.weights.sum() == pytest.approx(1, abs=1e-13)
    powers = probe_vectors(len(dense), probes, 1).T
    vectors = powers.copy()
    for order in range(10):
        mean = np.mean(np.sum(vectors * powers, axis=0))
        assert found.weights @ found.nodes**order == pytest.approx(mean, rel=1e-9, abs=1e-12)
        powers = dense @ powers


def test_the_order_after_the_last_exact_one_is_wrong():
    """So the tests above can tell 2 m moments from 2 m + 1."""
    matrix = MATRICES["wigner"]
    found = lanczos_quadrature(Dense(matrix), 3, seed=4)
    (v,) = probe_vectors(len(matrix), 1, 4)
    exact = v @ np.linalg.matrix_power(matrix, 6) @ v
    assert abs(found.weights @ found.nodes**6 - exact) > 1e-3 * exact


@pytest.mark.parametrize("name", MATRICES)
def test_an_eigenvalue_lies_within_every_residual(name):
    matrix = MATRICES[name]
    exact = np.linalg.eigvalsh(matrix)
    found = lanczos_quadrature(Dense(matrix), 20, probes=2, seed=3)
    distance = np.abs(found.nodes[:, None] - exact).min(axis=1)
    assert (distance <= found.residuals + 50 * EPS * np.abs(exact).max()).all()
    assert (found.weights >= 0).all()


def test_residuals_are_those_of_the_ritz_vectors():
    """||H x - theta x|| with x from a Krylov basis made another way, by QR of the power basis."""
    matrix, steps = MATRICES["wigner"], 8
    found = lanczos_quadrature(Dense(matrix), steps, seed=2)
    (v,) = probe_vectors(len(matrix), 1, 2)
    powers = [v]
    for _ in range(steps - 1):
        powers.append(matrix @ powers[-1])
    basis, _ = np.linalg.qr(np.array(powers).T)
    theta, s = np.linalg.eigh(basis.T @ matrix @ basis)
    x = basis @ s
    assert found.nodes == pytest.approx(theta, abs=1e-9)
    norms = np.linalg.norm(matrix @ x - x * theta, axis=0)
    assert found.residuals == pytest.approx(norms, abs=1e-7)


def test_as_many_steps_as_dimensions_give_the_whole_spectrum():
    matrix = MATRICES["wigner"]
    found = lanczos_quadrature(Dense(matrix), 1000, seed=0)
    assert found.nodes == pytest.approx(np.linalg.eigvalsh(matrix), abs=1e-10)
    assert found.residuals.max() < 1e-10


def test_extremes_are_those_of_the_exact_spectrum():
    network, inputs, targets = small_network()
    hessian = HessianOperator(network, LOSS, inputs, targets)
    exact = exact_spectrum(network, LOSS, inputs, targets).eigenvalues
    found = lanczos_quadrature(hessian, hessian.shape[0], seed=0)
    assert found.nodes.min() == pytest.approx(exact[0], abs=1e-11)
    assert found.nodes.max() == pytest.approx(exact[-1], abs=1e-11)


@pytest.mark.parametrize(("rank", "size"), [(0, 30), (1, 30), (4, 200)])
def test_a_matrix_of_low_rank_ends_early_with_its_null_space_as_one_node(rank, size):
    values = np.zeros(size)
    values[:rank] = np.arange(1, rank + 1)
    found = lanczos_quadrature(Dense(symmetric(values) if rank else np.zeros((size, size))), 20)
    assert found.matvecs == len(found.nodes) == rank + 1
    assert found.nodes == pytest.approx([0, *range(1, rank + 1)], abs=1e-12)
    assert found.residuals.max() < 1e-11
    (v,) = probe_vectors(size, 1, 0)
    null = 1 - np.sum((np.linalg.eigh(symmetric(values))[1].T @ v)[size - rank :] ** 2)
    assert found.weights[0] == pytest.approx(null, abs=1e-12)
    assert found.weights.sum() == pytest.approx(1, abs=1e-13)
    assert np.isfinite(found.diagonal).sum() == rank + 1


@pytest.mark.parametrize("law", [Semicircle(0.5), MarchenkoPastur(0.4)], ids=["goe", "wishart"])
def test_nodes_and_weights_are_the_gauss_rule_of_the_limiting_law(law):
    """Of a matrix with the law's quantiles for eigenvalues, v^T f(H) v is close to the law's mean.

    Gauss-Legendre moments of the density are the other way to the rule's polynomials.
    """
    size, steps = 4000, 6
    quantiles = law.quantile((np.arange(size) + 0.5) / size)
    found = lanczos_quadrature(Dense(np.diag(quantiles)), steps, probes=3, seed=5)
    ((low, high),) = law.support
    x, w = np.polynomial.legendre.leggauss(400)
    points = (low + high) / 2 + (high - low) / 2 * np.sin(np.pi * x / 2)
    weights = w * law.density(points) * (high - low) / 2 * np.pi / 2 * np.cos(np.pi * x / 2)
    for order in range(1, 2 * steps):
        exact = weights @ points**order
        scale = (weights @ points ** (2 * order)) ** 0.5
        assert abs(found.weights @ found.nodes**order - exact) < 5 * scale / np.sqrt(size)


def test_the_first_probes_are_the_same_for_any_number():
    matrix = Dense(MATRICES["wigner"])
    one, three = (lanczos_quadrature(matrix, 5, probes=n, seed=7) for n in (1, 3))
    assert (three.nodes[three.probe == 0] == one.nodes).all()
    assert (3 * three.weights[three.probe == 0]) == pytest.approx(one.weights, rel=1e-14)
    assert (lanczos_quadrature(matrix, 5, seed=8).nodes != one.nodes).any()


def test_extreme_vectors_have_the_residuals_and_values_said():
    matrix = MATRICES["outliers"]
    found = lanczos_quadrature(Dense(matrix), 9, probes=2, seed=1, vectors=True)
    for x, index in zip(
        found.extreme_vectors, (found.nodes.argmin(), found.nodes.argmax()), strict=True
    ):
        assert np.linalg.norm(x) == pytest.approx(1, abs=1e-12)
        assert x @ matrix @ x == pytest.approx(found.nodes[index], abs=1e-12)
        residual = np.linalg.norm(matrix @ x - found.nodes[index] * x)
        assert residual == pytest.approx(found.residuals[index], rel=1e-3, abs=1e-12)


def test_a_start_from_nearby_eigenvectors_converges_in_fewer_steps():
    """Both ends, from the sum of a perturbed matrix's extreme eigenvectors."""
    near = symmetric([*np.linspace(-1, 1, 78), 2.0, -1.5])
    matrix = near + 0.05 * symmetric(np.linspace(-1, 1, 80), seed=1)
    exact = np.linalg.eigvalsh(matrix)[[0, -1]]
    start = np.linalg.eigh(near)[1][:, [0, -1]].sum(axis=1)
    errors = {}
    for name, vector in (("near", start), ("random", None)):
        found = lanczos_quadrature(Dense(matrix), 6, seed=0, start=vector)
        errors[name] = np.abs(found.nodes[[0, -1]] - exact)
        assert (errors[name] <= found.residuals[[0, -1]]).all()
    assert (errors["near"] < 0.1 * errors["random"]).all()
    with pytest.raises(ValueError, match="one probe"):
        lanczos_quadrature(Dense(matrix), 6, probes=2, start=start)


def test_progress_sees_every_step():
    seen = []

    def progress(steps):
        for step in steps:
            seen.append(step)
            yield step

    lanczos_quadrature(Dense(MATRICES["wigner"]), 4, probes=2, progress=progress)
    assert seen == [*range(4), *range(4)]


def test_products_that_are_no_numbers_and_settings_that_make_no_sense_are_refused():
    matrix = np.eye(4)
    matrix[0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity"):
        lanczos_quadrature(Dense(matrix), 3)
    for bad in ({"steps": 0}, {"probes": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            lanczos_quadrature(Dense(np.eye(3)), **{"steps": 2} | bad)


# Augmented sets -----------------------------------------------------------------------------------


def images(examples=17, channels=2, side=16, seed=0):
    torch.manual_seed(seed)
    return torch.randn(examples, channels, side, side), torch.arange(examples) % 3


def augmented(x, y, copies, micro_batch):
    return AugmentedSet(x, y, copies, seed=(2022, "a_run", "augmented"), micro_batch=micro_batch)


@pytest.mark.parametrize(("side", "pad"), [(7, 1), (8, 1), (14, 2), (16, 2), (28, 4), (32, 4)])
def test_padding_is_an_eighth_of_the_side(side, pad):
    assert padding(torch.zeros(1, 1, side, side)) == pad


@pytest.mark.parametrize("micro_batch", [1, 5, 17, 100])
def test_an_augmented_set_is_the_same_to_the_bit_however_it_is_cut(micro_batch):
    x, y = images()
    whole = list(augmented(x, y, 3, 17))
    cut = list(augmented(x, y, 3, micro_batch))
    assert max(len(part) for part, _ in cut) <= micro_batch
    for i in (0, 1):
        assert torch.equal(torch.cat([p[i] for p in whole]), torch.cat([p[i] for p in cut]))
    assert len(augmented(x, y, 3, micro_batch)) == sum(len(part) for part, _ in cut) == 51


def test_a_larger_set_begins_with_a_smaller_and_copies_differ():
    x, y = images()
    small, large = (list(augmented(x, y, copies, 17)) for copies in (2, 4))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(small, large, strict=False))
    assert not torch.equal(large[0][0], large[1][0])
    again = list(augmented(x, y, 4, 17))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(large, again, strict=True))
    other = AugmentedSet(x, y, 1, seed=(2022, "another", "augmented"), micro_batch=17)
    assert not torch.equal(next(iter(other))[0], large[0][0])


def test_every_place_and_flip_of_a_crop_occurs_and_is_a_crop_of_its_image():
    x, y = images(examples=100, channels=1, side=8)
    black, pad = x.amin(), padding(x)
    padded = functional.pad(x - black, (pad,) * 4) + black
    seen = set()
    for part, _ in augmented(x, y, 3, 100):
        for image, wide in zip(part, padded, strict=True):
            found = [
                (flip, top, left)
                for flip, source in ((False, wide), (True, wide.flip(2)))
                for top in range(3)
                for left in range(3)
                if torch.equal(image, source[:, top : top + 8, left : left + 8])
            ]
            assert found
            seen.update(found)
    assert len(seen) == 18


def test_the_middle_place_without_flip_is_the_image_itself():
    x, _ = images(side=16)
    n = len(x)
    middle = torch.full((n,), padding(x))
    y = flipped_crops(x, torch.zeros(n, dtype=torch.bool), middle, middle, black=x.amin())
    assert torch.allclose(y, x, atol=1e-6)


def test_an_augmented_hessian_does_not_depend_on_the_cut():
    x, y = images(channels=1, side=8)
    torch.manual_seed(1)
    network = preresnet((1, 8, 8), 3, blocks=1, width=2).double().eval()
    operators = [
        HessianOperator(network, LOSS, augmented(x.double(), y, 2, m), graph="stream")
        for m in (3, 17)
    ]
    v = torch.randn(operators[0].shape[0], dtype=torch.float64)
    first, second = (operator.matvec(v) for operator in operators)
    assert torch.allclose(first, second, rtol=1e-10, atol=1e-12 * float(first.norm()))
    stacked = [torch.cat(part) for part in zip(*augmented(x.double(), y, 2, 17), strict=True)]
    stored = HessianOperator(network, LOSS, *stacked).matvec(v)
    assert torch.allclose(first, stored, rtol=1e-10, atol=1e-12 * float(first.norm()))


def test_only_images_are_augmented():
    with pytest.raises(UserError, match="needs images"):
        augmented(torch.zeros(4, 6), torch.zeros(4), 2, 2)


# Tables -------------------------------------------------------------------------------------------

SETTINGS = {
    "seed": 2022,
    "compute": {"memory_mb": 50.0},
    "density": {
        "steps": 6,
        "probes": 1,
        "micro_batch": 8,
        "memory_mb": 20,
        "noise_steps": 4,
        "noise_probes": 2,
    },
}


def small_images():
    x, y = images(examples=20, channels=1, side=8)
    torch.manual_seed(1)
    network = vgg((1, 8, 8), 3, convolutions=[1, 1], width=2, batch_norm=True).double().eval()
    return network, x.double(), y


def table_of(name, settings=SETTINGS, problem=None, **options):
    network, x, y = problem or small_images()
    log = Log(io.StringIO())
    return density_table("a_run", settings, network, LOSS, x, y, 3, name, log, **options)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("full", (0, 0, 0)), ("augmented-010", (10, 0, 0)), ("draw-000256-03", (0, 256, 3))],
)
def test_addresses_of_samples(name, expected):
    sample = parse_sample(name)
    assert (sample.copies, sample.batch_size, sample.seed) == expected


def test_every_sample_has_its_examples_and_all_share_their_first_vector():
    network, x, y = small_images()
    tables = {name: table_of(name) for name in ("full", "augmented-003", "draw-000012-01")}
    assert [table["examples"] for table in tables.values()] == [20, 60, 12]
    batch = draw_batch(2022, "a_run", 3, 12, 1, 20)
    sets = {
        "full": (x, y),
        "augmented-003": [torch.cat(part) for part in zip(*augmented(x, y, 3, 20), strict=True)],
        "draw-000012-01": (x[batch], y[batch]),
    }
    seed = derive_seed(2022, "a_run", "density", 3)
    for name, (inputs, targets) in sets.items():
        expected = lanczos_quadrature(HessianOperator(network, LOSS, inputs, targets), 6, seed=seed)
        assert tables[name]["nodes"] == pytest.approx(expected.nodes, abs=1e-9), name
        with torch.no_grad():
            loss = float(LOSS(network(inputs), targets))
        assert tables[name]["sample_loss"] == pytest.approx(loss, rel=1e-10)
    assert "noise/nodes" not in tables["full"]
    assert tables["augmented-003"]["extreme_vectors"].dtype == np.float32
    warm = table_of("augmented-003", start=tables["full"]["extreme_vectors"])
    assert tables["full"]["random_start"]
    assert not warm["random_start"]
    for end in ENDS.values():
        (_, residual), (_, cold) = (
            extreme_pair(table, end) for table in (warm, tables["augmented-003"])
        )
        assert residual < cold


def test_a_micro_batch_changes_round_off_alone():
    settings = SETTINGS | {"density": SETTINGS["density"] | {"micro_batch": 3}}
    for name in ("full", "augmented-002"):
        whole, cut = table_of(name), table_of(name, settings)
        assert cut["nodes"] == pytest.approx(whole["nodes"], abs=1e-10)
        assert cut["weights"] == pytest.approx(whole["weights"], abs=1e-8)


def test_a_basis_that_does_not_fit_is_refused():
    settings = SETTINGS | {"density": SETTINGS["density"] | {"steps": 10_000, "memory_mb": 1}}
    with pytest.raises(UserError, match=r"density\.memory_mb is 1; ask for fewer steps"):
        table_of("full", settings)


def test_halves_of_a_batch_give_the_noises_variance():
    """E |(H_batch - H) v|^2 over draws, of both, for a few fixed vectors v."""
    network, inputs, targets = small_network(examples=24)
    vectors = torch.randn(53, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    whole = HessianOperator(network, LOSS, inputs, targets) @ vectors
    rng = np.random.default_rng(0)
    direct, halves = [], []
    for _ in range(200):
        batch = rng.integers(24, size=9)  # odd: halves of 4 and 5
        x, y = inputs[batch], targets[batch]
        difference = HessianOperator(network, LOSS, x, y) @ vectors - whole
        direct.append(float(difference.square().sum()))
        half = HalvesDifference(network, LOSS, x, y, 100.0)
        halves.append(sum(float(half.matvec(v).square().sum()) for v in vectors.T))
    error = np.hypot(*(np.std(v) / np.sqrt(len(v)) for v in (direct, halves)))
    assert abs(np.mean(direct) - np.mean(halves)) < 4 * error
    assert error < 0.15 * np.mean(direct)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["preresnet110_cifar100", "vgg16bn_cifar100"])
def test_the_papers_own_networks(name):
    """Scale paper's networks on two random images, two steps; VGG16's basis takes half a GB."""
    config = yaml.safe_load((ROOT / "workflow/scales/paper.yaml").read_text())
    arguments = config["runs"][name]["network"]["arguments"]
    build = preresnet if name.startswith("pre") else vgg
    network = build((3, 32, 32), 100, **arguments).eval()
    x, y = images(examples=2, channels=3, side=32)
    density = SETTINGS["density"] | {"steps": 2, "memory_mb": 2000}
    table = table_of("augmented-002", SETTINGS | {"density": density}, (network, x, y))
    parameters = {"preresnet110_cifar100": 1_169_972, "vgg16bn_cifar100": 15_299_748}
    assert table["parameters"] == parameters[name]
    assert table["examples"] == 4
    assert table["weights"].sum() == pytest.approx(1, abs=1e-12)
    assert np.isfinite(table["residuals"]).all()


# Statistics ---------------------------------------------------------------------------------------


def test_truncation_gives_the_ritz_values_of_fewer_steps():
    matrix = Dense(MATRICES["outliers"])
    long, short = (vars(lanczos_quadrature(matrix, n, probes=2, seed=1)) for n in (20, 5))
    for end in ENDS.values():
        assert truncated_extreme(long, end, 5) == pytest.approx(extreme_pair(short, end)[0])
        assert truncated_extreme(long, end, 50) == pytest.approx(extreme_pair(long, end)[0])
    assert extreme_pair(long, 1)[0] == pytest.approx(8.0)
    assert extreme_pair(long, -1)[0] == pytest.approx(-3.0)


def test_edges_of_a_bulk_and_gaps_of_outliers():
    table = vars(lanczos_quadrature(Dense(symmetric([*np.linspace(-1, 1, 998), 9.0, -4.0])), 80))
    lower, upper = bulk_edges(table)
    assert -1.05 < lower < -0.95
    assert 0.95 < upper < 1.05
    for end, exact in ((1, (9 - 1) / 9), (-1, (4 - 1) / 4)):
        gap, error = relative_gap(table, end)
        assert abs(gap - exact) < error + 0.01


def drawn(matrix, noise, count=5, size=20):
    """Tables as `density_table` makes them, of a matrix plus symmetric noise of mean zero."""
    tables = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        first, second = (noise(rng) for _ in range(2))
        table = vars(lanczos_quadrature(Dense(matrix + first), 40, seed=1))
        own = vars(lanczos_quadrature(Dense(second), 10, probes=3, seed=seed))
        table |= {f"noise/{key}": own[key] for key in ("nodes", "weights", "residuals", "probe")}
        tables.append(table | {"batch_size": size, "parameters": len(matrix), "copies": 0})
    return tables


def goe_noise(scale, size):
    def noise(rng):
        entries = rng.standard_normal((size, size))
        return scale * (entries + entries.T) / np.sqrt(2 * size)

    return noise


def test_statistics_recover_a_spiked_model():
    """A rank-two matrix in GOE noise: the corrected (18) holds at both ends; sigma comes out."""
    size, scale = 400, 0.5
    matrix = symmetric([4.0, -1.5, *np.zeros(size - 2)])
    draws = drawn(matrix, goe_noise(scale, size))
    full = vars(lanczos_quadrature(Dense(matrix), 10, seed=1))
    full |= {"parameters": size, "examples": 500, "copies": 0}
    assert noise_variance(draws)[0] == pytest.approx(scale**2, rel=0.05)
    statistics = draw_statistics(full, draws)
    assert statistics["goe_edge"] == pytest.approx(2 * scale, rel=0.05)
    assert statistics["deviation"] ** 2 * size / 20 == pytest.approx(scale**2, rel=0.05)
    for name, spike in (("largest", 4.0), ("smallest", -1.5)):
        assert statistics[f"{name}/full"] == pytest.approx(spike)
        expected = spike + scale**2 / spike
        assert statistics[f"{name}/corrected"] == pytest.approx(expected, rel=0.01)
        assert statistics[f"{name}/mean"] == pytest.approx(expected, abs=0.06)
        assert statistics[f"{name}/low"] < statistics[f"{name}/mean"] < statistics[f"{name}/high"]
        noise_end = ENDS[name] * statistics[f"{name}/noise_end"]
        assert noise_end == pytest.approx(np.full(5, 2 * scale), rel=0.15)
    rows = draw_rows("a_run", 3, statistics | {"data": "none"})
    assert [row[2] for row in rows] == ["largest", "smallest"]
    assert all(len(row) == len(DRAW_COLUMNS) for row in rows)
    with pytest.raises(UserError, match="2 or more"):
        draw_statistics(full, draws[:1])


def test_factors_and_predictions_by_sample_size():
    size = 300
    matrices = [
        symmetric([top, low, *np.zeros(size - 2)]) for top, low in ((8, -4), (4, -2), (4, -1))
    ]
    tables = [
        vars(lanczos_quadrature(Dense(m), n, seed=1))
        | {
            "random_start": True,
            "parameters": size,
            "examples": 10**k * 100,
            "copies": 10**k if k else 0,
        }
        for k, (m, n) in enumerate(zip(matrices, (9, 9, 3), strict=True))
    ]
    statistics = augmented_statistics(tables[0], tables[1:], drawn(matrices[2], goe_noise(1, size)))
    rows = [
        dict(zip(AUGMENTED_COLUMNS, r, strict=True)) for r in augmented_rows("r", 1, statistics)
    ]
    assert [row["sample"] for row in rows] == ["full", "augmented-010", "augmented-100"]
    assert [row["largest_factor"] for row in rows][1:] == pytest.approx([2, 1])
    assert [row["smallest_factor"] for row in rows][1:] == pytest.approx([2, 2])
    assert {row["few_steps"] for row in rows} == {3}
    # sigma^2 = (B / N) x 1, so that N / T sigma^2 = 20 / T
    expected = [4 + 20 / n / 4 for n in (100, 1000, 10_000)]
    assert [row["largest_corrected"] for row in rows] == pytest.approx(expected, rel=0.01)


# Spiked GOE ---------------------------------------------------------------------------------------


def test_both_forms_of_18():
    deviation = 0.5
    for ratio in (0.25, 1.0, 16.0):
        scale = deviation * ratio**0.5
        spikes = scale * np.array([-3.0, 0.0, 0.5, 1.0, 2.0])
        corrected = outermost_eigenvalue(spikes, deviation, ratio)
        assert corrected == pytest.approx(scale * np.array([2, 2, 2, 2, 2.5]))
        mirrored = outermost_eigenvalue(-spikes, deviation, ratio, end=-1)
        assert mirrored == pytest.approx(-corrected)
        printed = outermost_eigenvalue(spikes, deviation, ratio, printed=True)
        assert np.allclose(printed, corrected) == (ratio == 1)


def test_the_tridiagonal_model_has_the_dense_models_law():
    """Means and deviations of largest eigenvalue and overlap, over 300 matrices of order 40."""
    size, spike, scale = 40, 1.7, 0.9
    rng = np.random.default_rng(3)
    ours = np.array([spiked_goe(spike, scale, size, rng) for _ in range(300)])
    dense = []
    for _ in range(300):
        entries = rng.standard_normal((size, size))
        matrix = scale * (entries + entries.T) / np.sqrt(2 * size)
        matrix[5, 5] += spike
        values, vectors = np.linalg.eigh(matrix)
        dense.append((values[-1], vectors[5, -1] ** 2))
    theirs = np.array(dense)
    error = np.sqrt((ours.var(axis=0) + theirs.var(axis=0)) / 300)
    assert (np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) < 4 * error).all()
    assert ours.std(axis=0) == pytest.approx(theirs.std(axis=0), rel=0.25)


@pytest.mark.parametrize("threshold", [0.3, 1.0, 2.2])
def test_a_planted_threshold_is_found(threshold):
    rng = np.random.default_rng(1)
    spikes = np.linspace(0.2, 4, 15)
    noise = 0.02 * rng.standard_normal((15, 30))
    fit, low, high = fitted_threshold(
        spikes, squared_overlap(spikes, threshold)[:, None] + noise, rng
    )
    assert fit == pytest.approx(threshold, rel=0.02)
    assert low < fit < high
    assert low <= threshold * 1.02
    assert high >= threshold * 0.98


def test_simulated_matrices_reject_the_printed_threshold_where_it_differs():
    settings = {
        "sizes": [100, 400],
        "samples": 10,
        "ratios": [0.25, 1.0, 9.0],
        "strengths": [0.4, 0.6, 0.8, 1.0, 1.3, 1.7, 2.5, 4.0],
        "seed": 2022,
    }
    rows = summary_rows(spiked_statistics(settings))
    assert len(rows) == 6
    for row in rows:
        ratio, _, _, printed, corrected, fit, low, high, disputed, bad, good = row
        assert fit == pytest.approx(corrected, rel=0.06)
        if ratio == 1:
            assert disputed == 0
        else:
            assert disputed >= 2
            assert not low <= printed <= high
            assert bad > 5 * good


# Configuration ------------------------------------------------------------------------------------


def test_every_run_has_density_settings():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    density = check_config(config)["runs"]["preresnet_augmented"]["density"]
    assert density["draws"]["batch_size"] == 256
    assert check_config(config)["runs"]["softmax_mnist"]["density"]["augmented"] == []
    for key, value, words in (
        ("augmented", [{"copies": 10}], "steps"),
        ("steps", 0, "from 1 to 10000"),
    ):
        config["runs"]["preresnet_augmented"]["density"] = {key: value}
        with pytest.raises(UserError, match=words):
            check_config(config)
