"""Search for critical points, its grid of jobs, and the fits to what it finds."""

import copy

import numpy as np
import pytest
import torch

from hessian_rmt.errors import UserError
from hessian_rmt.geometry.critical_grid import ACCEPT, ARMS, least_squares_loss, search_runs
from hessian_rmt.geometry.critical_points import (
    CAPPED,
    CRITICAL,
    FLAT,
    descend_to_random_loss,
    find_critical_points,
)
from hessian_rmt.geometry.critical_statistics import (
    critical_statistics,
    summary_columns,
    summary_rows,
)
from hessian_rmt.geometry.index_fits import fit_index, fraction_below, mean_energy_by_index
from hessian_rmt.geometry.memorisation import linear_law, memorisation_runs
from hessian_rmt.geometry.minima import find_minima

METHODS = ("newton", "descent")
SETTINGS = {
    "seed": 3,
    "width": 4,
    "learning_rate": 0.1,
    "start_steps": 500,
    "newton_steps": 60,
    "refined_steps": 80,
    "descent_steps": 500,
    "minimum_steps": 60,
}


def task(runs=6, width=4, examples=14, activation="tanh"):
    return memorisation_runs(width, examples, range(runs), seed=5, activation=activation)


def started(made, max_steps=400):
    return descend_to_random_loss(
        made.networks, made.theta, made.uniform, learning_rate=0.1, max_steps=max_steps
    )


def gradients(networks, theta):
    """By torch, independently."""
    n0, n1 = networks.inputs.shape[1], networks.hidden
    found = []
    for t, x, y in zip(theta, networks.inputs, networks.targets, strict=True):
        point = torch.tensor(t, requires_grad=True)
        first, second = point[: n1 * n0].reshape(n1, n0), point[n1 * n0 :].reshape(-1, n1)
        outputs = second @ torch.tanh(first @ torch.tensor(x))
        loss = ((outputs - torch.tensor(y)) ** 2).sum() / (2 * x.shape[1])
        found.append(torch.autograd.grad(loss, point)[0].numpy())
    return np.stack(found)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_called_critical_has_no_gradient(method):
    made = task()
    found = find_critical_points(
        made.networks, started(made).theta, method=method, tolerance=1e-5, max_steps=3000
    )
    squared = (gradients(made.networks, found.theta) ** 2).sum(axis=1)
    np.testing.assert_allclose(squared, found.gradient_squared, rtol=1e-6)
    assert (squared[found.status == CRITICAL] < 1e-5).all()
    assert (found.status == CRITICAL).any()
    assert (squared[found.status == CAPPED] >= 1e-5).all()


def test_newton_converges_to_round_off_or_says_flat():
    made = task(12, 6, 40)
    found = find_critical_points(made.networks, started(made).theta, tolerance=1e-20, max_steps=300)
    critical, flat = found.status == CRITICAL, found.status == FLAT
    assert critical.any()
    assert flat.any()
    assert (found.gradient_squared[critical] < 1e-19).all()
    hessian = made.networks.hessian(found.theta)
    # at a critical point the index is at most 1/2; at a flat one the gradient is a null vector
    assert ((np.linalg.eigvalsh(hessian[critical]) < 0).mean(axis=1) <= 0.5).all()
    gradient = gradients(made.networks, found.theta)[flat]
    s = 36  # the second layer's gradient is zero; along the first the reduced Hessian vanishes
    schur = hessian[:, :s, :s] - hessian[:, :s, s:] @ np.linalg.solve(
        hessian[:, s:, s:], hessian[:, s:, :s]
    )
    along = np.einsum("zij,zj->zi", schur[flat], gradient[:, :s])
    size = np.linalg.norm(gradient, axis=1) * np.linalg.norm(schur[flat], axis=(1, 2))
    assert (np.linalg.norm(along, axis=1) < 1e-4 * size).all()
    assert (found.gradient_squared[flat] > 1e-20).all()


def test_accepted_is_where_the_bound_was_first_met():
    made = task(6, 6, 40)
    start = started(made).theta
    found = find_critical_points(made.networks, start, accept=1e-4, max_steps=100)
    known = found.accepted_steps > 0
    assert known.any()
    squared = (gradients(made.networks.take(known), found.accepted_theta[known]) ** 2).sum(axis=1)
    assert (squared < 1e-4 * (1 + 1e-9)).all()
    shorter = find_critical_points(made.networks, start, tolerance=1e-4, accept=1e-4, max_steps=100)
    np.testing.assert_array_equal(shorter.theta[known], found.accepted_theta[known])
    np.testing.assert_array_equal(shorter.steps[known], found.accepted_steps[known])


@pytest.mark.parametrize("method", METHODS)
def test_a_stopped_search_goes_on_to_the_same_bits(method):
    made = task()
    start, saved = started(made).theta, []
    settings = {"method": method, "max_steps": 40, "tolerance": 1e-5}
    whole = find_critical_points(
        made.networks,
        start,
        on_state=lambda state: saved.append(copy.deepcopy(state)),
        every=15,
        **settings,
    )
    assert len(saved) == 2
    for state in saved:
        again = find_critical_points(made.networks, start, state=state, **settings)
        for name, values in vars(whole).items():
            np.testing.assert_array_equal(getattr(again, name), values, err_msg=name)


@pytest.mark.parametrize("arm", ["newton", "refined", "descent", "minimum", "linear"])
def test_numbers_do_not_depend_on_the_cut_into_jobs(arm):
    whole = search_runs(arm, 14, range(7), SETTINGS)
    parts = [search_runs(arm, 14, part, SETTINGS) for part in (range(3), range(3, 7))]
    for name, values in whole.items():
        np.testing.assert_array_equal(
            np.concatenate([part[name] for part in parts]), values, err_msg=name
        )


def test_descents_stop_at_their_energy_or_are_capped():
    made = task(20)
    start = started(made, max_steps=100)
    assert 0 < start.capped.sum() < 20
    assert (start.loss[~start.capped] <= start.wanted_loss[~start.capped]).all()
    assert (start.loss[start.capped] > start.wanted_loss[start.capped]).all()
    assert (start.loss <= start.initial_loss).all()


def test_minima_are_minima_and_no_higher_than_their_starts():
    made = task(10, 5, 40)
    start = started(made)
    found = find_minima(made.networks, start.theta, tolerance=1e-16, max_steps=200)
    assert (found.loss <= start.loss).all()
    converged = found.gradient_squared < 1e-15
    assert converged.any()
    squared = (gradients(made.networks, found.theta) ** 2).sum(axis=1)
    np.testing.assert_allclose(squared[converged], 0, atol=1e-14)
    values = np.linalg.eigvalsh(made.networks.hessian(found.theta)[converged])
    assert values.min() > -1e-7 * values.max()
    assert found.smallest[converged].min() > -1e-7 * values.max()


def test_linear_networks_end_at_the_least_squares_minimum():
    table = search_runs("linear", 14, range(5), SETTINGS)
    np.testing.assert_allclose(table["energy"], table["exact_energy"], rtol=1e-10)
    assert (table["gradient_squared"] < ACCEPT**2).all()


@pytest.mark.parametrize("examples", [9, 16, 40])
def test_mean_least_squares_minimum(examples):
    """(1 - phi / 2) / 2, and not the printed (1 - phi) / 2."""
    made = memorisation_runs(4, examples, range(300), seed=1, activation="linear")
    energies = least_squares_loss(made.networks) / 4
    error = energies.std() / np.sqrt(len(energies))
    assert abs(energies.mean() - linear_law(8 / examples)) < 4 * error
    assert abs(energies.mean() - linear_law(8 / examples, printed=True)) > 10 * error


def test_refined_runs_report_both_indices():
    table = search_runs("refined", 14, range(8), SETTINGS)
    reached = table["accepted_steps"] >= 0
    assert reached.any()
    assert np.isfinite(table["accepted_energy"][reached]).all()
    critical = table["status"] == CRITICAL
    np.testing.assert_array_equal(
        table["reduced_index"][critical],
        fraction_below(table["eigenvalues"][critical], [0.0])[0],
    )


def test_bad_searches_get_a_sentence():
    made = task(2, 4, 3)
    with pytest.raises(UserError, match="no method 'magic'"):
        find_critical_points(made.networks, made.theta, method="magic")
    with pytest.raises(UserError, match="too few"):
        find_critical_points(made.networks, made.theta)
    state = {"status": np.zeros(5)}
    with pytest.raises(UserError, match="5 runs"):
        find_critical_points(made.networks, made.theta, method="descent", state=state)


def test_statistics_of_all_arms():
    settings = {
        "width": 4,
        "examples": [10, 16],
        "largest_indices": [0.4, 0.2],
        "bin_runs": 3,
        "bootstrap": 5,
    }
    tables = {
        arm: [
            search_runs(arm, m, runs, SETTINGS) | {"examples": m}
            for m in settings["examples"]
            for runs in (range(4), range(4, 9))
        ]
        for arm in ARMS
    }
    statistics = critical_statistics(tables, settings, seed=1)
    assert (statistics["by_status"].sum(axis=1) == 9).all()
    assert (statistics["accepted"] <= statistics["runs"]).all()
    assert (statistics["refined_critical"] <= statistics["refined_accepted"]).all()
    assert (statistics["linear_largest_difference"] < 1e-10).all()
    np.testing.assert_allclose(statistics["phi"], [0.8, 0.5])
    np.testing.assert_allclose(statistics["law/quadratic"][[0, 50, 100]], [0.5, 0.125, 0])
    for i, m in enumerate(settings["examples"]):
        assert statistics[f"bins/{m}/runs"].sum() == statistics["accepted"][i]
    backwards = {arm: parts[::-1] for arm, parts in tables.items()}
    again = critical_statistics(backwards, settings, seed=1)
    for name, values in statistics.items():
        np.testing.assert_array_equal(again[name], values, err_msg=name)
    assert all(len(row) == len(summary_columns()) for row in summary_rows(statistics))


# Fits ---------------------------------------------------------------------------------------------


def planted(exponent, rng, runs=400, noise=0.01):
    index = rng.integers(0, 60, runs) / 512
    return 0.2 + (index / 1.5) ** (1 / exponent) + noise * rng.standard_normal(runs), index


def test_planted_laws_are_recovered():
    rng = np.random.default_rng(0)
    for _ in range(3):
        energy, index = planted(1.5, rng)
        fit = fit_index(energy, index, largest_index=0.1, bootstrap=100)
        free = fit_index(energy, index, largest_index=0.1, bootstrap=100, free_exponent=True)
        assert abs(fit.critical_energy - 0.2) < 0.004
        assert abs(fit.prefactor - 1.5) < 0.1
        assert abs(free.exponent - 1.5) < 0.2
        assert fit.runs == (index <= 0.1).sum()


def test_intervals_cover():
    """Of 95 % intervals, some 95 % hold the planted value."""
    rng = np.random.default_rng(1)
    hits = 0
    for seed in range(60):
        energy, index = planted(1.5, rng, runs=150)
        fit = fit_index(energy, index, largest_index=0.1, bootstrap=120, seed=seed)
        low, high = fit.intervals["critical_energy"]
        hits += low <= 0.2 <= high
    assert hits >= 50  # fewer have a probability of 3e-4 at 95 %


def test_another_exponent_is_told_from_three_halves():
    rng = np.random.default_rng(2)
    energy, index = planted(1.0, rng)
    free = fit_index(energy, index, largest_index=0.1, bootstrap=100, free_exponent=True)
    assert free.intervals["exponent"][1] < 1.5


def test_too_few_indices_give_no_fit():
    assert fit_index([0.1, 0.2], [0.0, 0.1], largest_index=1) is None
    assert fit_index([0.1, 0.2, 0.3], [0.1, 0.2, 0.3], largest_index=0.25) is None


def test_bins_hold_every_run_once():
    rng = np.random.default_rng(3)
    energy, index = planted(1.5, rng, runs=213)
    bins = mean_energy_by_index(energy, index, least_runs=10)
    assert bins.runs.sum() == 213
    assert bins.runs.min() >= 10
    assert (np.diff(bins.index) > 0).all()
    np.testing.assert_allclose(bins.energy @ bins.runs, energy.sum())
    np.testing.assert_allclose(bins.index @ bins.runs, index.sum())


def test_index_by_tolerance():
    values = np.array([[-1.0, -1e-9, 0.0, 2.0]])
    np.testing.assert_allclose(fraction_below(values, [0.0, 1e-6, 2.0]), [[0.5], [0.25], [0.0]])
