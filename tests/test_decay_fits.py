"""Fits of decays: planted parameters, coverage of intervals, and which law is preferred."""

import numpy as np
import pytest

from hessian_rmt.generalisation.decay_fits import LAWS, compare, fit_decay, lack_of_fit
from hessian_rmt.generalisation.minima import budget_statistics, fit_rows, lowest
from hessian_rmt.generalisation.published import PARAMETERS, published_minima

BUDGETS = np.array([15, 30, 45, 60, 90, 120, 150, 180, 210, 270, 300], float)


def planted(law: str, a: float, b: float, c: float, t: np.ndarray) -> np.ndarray:
    return {"exponential": a + b * np.exp(c * t), "power": a + b * t**c, "line": a + b * t}[law]


CASES = [
    ("exponential", 0.94, 0.76, -0.046),
    ("exponential", -2.0, -3.0, -0.2),
    ("exponential", 5.0, 100.0, -0.004),
    ("power", 0.9, 6.0, -1.0),
    ("power", 0.1, -2.0, -0.3),
    ("line", 1.2, -0.001, np.nan),
]


@pytest.mark.parametrize(("law", "a", "b", "c"), CASES)
def test_exact_data_give_back_their_parameters(law, a, b, c):
    y = planted(law, a, b, c, BUDGETS)
    fit = fit_decay(BUDGETS, y, law)
    np.testing.assert_allclose(fit.parameters, [a, b, c], rtol=1e-5)
    np.testing.assert_allclose(fit(BUDGETS), y, rtol=1e-6)


@pytest.mark.parametrize(("law", "a", "b", "c"), CASES[:5])
def test_units_of_time_and_of_the_values_do_not_matter(law, a, b, c):
    rng = np.random.default_rng(3)
    y = planted(law, a, b, c, BUDGETS) + 0.01 * abs(b) * rng.standard_normal(len(BUDGETS))
    fit, other = fit_decay(BUDGETS, y, law), fit_decay(60 * BUDGETS, 7 * y - 2, law)
    assert other.parameters[0] == pytest.approx(7 * fit.parameters[0] - 2, rel=1e-4)
    np.testing.assert_allclose(other(60 * BUDGETS), 7 * fit(BUDGETS) - 2, rtol=1e-5)
    assert other.rss == pytest.approx(49 * fit.rss, rel=1e-6)


@pytest.mark.parametrize(("law", "a", "b", "c"), [CASES[0], CASES[3], CASES[5]])
def test_intervals_cover(law, a, b, c):
    """Of 400 data sets, 95 % within three standard errors of a binomial (1.1 %)."""
    rng, true = np.random.default_rng(5), np.array([a, b, c])
    y = planted(law, a, b, c, BUDGETS)
    inside = np.zeros(3)
    for _ in range(400):
        fit = fit_decay(BUDGETS, y + 0.01 * rng.standard_normal(len(y)), law)
        inside += (fit.intervals[:, 0] <= true) & (true <= fit.intervals[:, 1])
    shares = inside[: 2 if law == "line" else 3] / 400
    assert np.all(np.abs(shares - 0.95) < 0.033), shares


def test_intervals_of_noise_about_a_line_are_open():
    """Where the data do not bound the asymptote, neither does the interval."""
    rng = np.random.default_rng(2)
    fit = fit_decay(BUDGETS, 1 - 0.001 * BUDGETS + 0.05 * rng.standard_normal(11), "exponential")
    assert fit.intervals[0, 0] == -np.inf
    assert fit.intervals[2, 1] == 0.0


def test_each_law_is_preferred_on_its_own_data():
    rng = np.random.default_rng(7)
    for law, a, b, c in (CASES[0], CASES[3], ("line", 1.0, -0.002, np.nan)):
        y = planted(law, a, b, c, BUDGETS) + 0.002 * rng.standard_normal(len(BUDGETS))
        aicc = {name: fit_decay(BUDGETS, y, name).aicc for name in LAWS}
        assert min(aicc, key=aicc.__getitem__) == law


def test_p_values_are_uniform_under_the_null_and_small_under_the_other():
    rng, t = np.random.default_rng(11), BUDGETS
    null = planted(*CASES[3], t)
    p = [
        compare(
            t, null + 0.02 * rng.standard_normal(11), "power", "exponential", rng, replicates=99
        )[1]
        for _ in range(60)
    ]
    assert 0.3 < np.mean(p) < 0.7  # of 60 uniform numbers the mean's deviation is 0.037
    y = planted(*CASES[0], t) + 0.002 * rng.standard_normal(11)
    difference, p_value = compare(t, y, "power", "exponential", rng, replicates=99)
    assert difference > 10
    assert p_value == 0.01
    back, reverse = compare(t, y, "exponential", "power", rng, replicates=99)
    assert back == pytest.approx(-difference, abs=0.1)  # one from a grid of rates, as the other
    assert reverse > 0.05


def test_lack_of_fit_rejects_the_wrong_law():
    rng, t = np.random.default_rng(13), np.repeat(BUDGETS, 3)
    y = planted(*CASES[0], t) + 0.01 * rng.standard_normal(len(t))
    assert lack_of_fit(t, y, fit_decay(t, y, "exponential")) > 0.01
    assert lack_of_fit(t, y, fit_decay(t, y, "line")) < 1e-6
    assert np.isnan(lack_of_fit(BUDGETS, y[::3], fit_decay(BUDGETS, y[::3], "line")))


def test_too_few_values_and_places():
    with pytest.raises(ValueError, match="6 values"):
        fit_decay(BUDGETS[:5], BUDGETS[:5], "power")
    fit = fit_decay(np.repeat([1.0, 2.0, 3.0], 4), np.arange(12.0), "exponential")
    assert np.isnan(fit.parameters).all()


# The published minima -----------------------------------------------------------------------------


@pytest.mark.parametrize("quantity", ["loss", "error"])
def test_the_published_fit_is_that_of_the_published_minima(quantity):
    """Against the epoch attained; against the budget it is another one."""
    minima = published_minima()
    fit = fit_decay(minima[f"{quantity}_epoch"], minima[quantity], "exponential")
    np.testing.assert_allclose(fit.parameters, PARAMETERS[quantity], rtol=5e-3)
    by_budget = fit_decay(minima["budget"], minima[quantity], "exponential")
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(by_budget.parameters, PARAMETERS[quantity], rtol=5e-3)


def test_the_published_fit_against_the_budget():
    minima = published_minima()
    fit = fit_decay(minima["budget"], minima["loss"], "exponential")
    np.testing.assert_allclose(fit.parameters, [0.9451, 0.798, -0.0463], rtol=2e-3)
    attained = fit_decay(minima["loss_epoch"], minima["loss"], "exponential")
    assert np.sum(minima["loss"] < attained.parameters[0]) >= 3, "an asymptote above minima"


def test_minima_of_tables_and_their_statistics():
    rng, tables, budgets = np.random.default_rng(17), [], []
    for budget in (2, 3, 5, 9, 16, 27):
        for _ in range(2):
            epoch = np.arange(budget + 1.0)
            loss = 0.5 + np.exp(-0.2 * epoch) + 0.01 * rng.standard_normal(budget + 1)
            loss[0] = 0.0  # an initialisation never counts
            tables.append(
                {"epoch": epoch, "held_out_loss": loss, "held_out_accuracy": 1 - loss / 3}
            )
            budgets.append(budget)
    minima = lowest(tables, budgets)
    for i, table in enumerate(tables):
        at = list(table["epoch"]).index(minima["loss_epoch"][i])
        assert at > 0
        assert minima["loss"][i] == table["held_out_loss"][at] == table["held_out_loss"][1:].min()
    np.testing.assert_allclose(minima["error"], minima["loss"] / 3)
    statistics = budget_statistics(minima, bootstrap=19, seed=1)
    low, high = statistics["measured/loss/epoch/exponential/intervals"][2]
    assert low < -0.2 < high
    assert 0 <= statistics["measured/loss/budget/line/lack_of_fit"] <= 1
    rows = fit_rows(statistics)
    assert len(rows) == 2 * 2 * 2 * 3
