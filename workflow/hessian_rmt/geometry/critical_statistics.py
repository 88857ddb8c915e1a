"""What figure 6 of `geometry` draws and its claims need, from the raw runs of the grid's arms.

Three questions beside the fits: how far the index depends on the zero tolerance; whether points
with |grad L|^2 < 1e-6 are critical (`refined`: what becomes of them on the way to 1e-12); and
whether `descent` and `newton` find the same points from the same starts.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wilcoxon

from hessian_rmt.geometry.critical_grid import ACCEPT, ARMS, REFINED
from hessian_rmt.geometry.critical_points import STATUS
from hessian_rmt.geometry.index_fits import (
    TOLERANCE,
    TOLERANCES,
    IndexFit,
    fit_index,
    fraction_below,
    mean_energy_by_index,
)
from hessian_rmt.geometry.memorisation import linear_law, quadratic_law
from hessian_rmt.seeds import derive_seed

Array = NDArray[np.float64]
Table = Mapping[str, Any]
LAW_PHI = np.linspace(0, 1, 101)
PARAMETERS = ("critical_energy", "prefactor", "exponent")


def critical_statistics(
    arms: Mapping[str, Sequence[Table]], settings: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    """Arrays by name, phi by phi in the order of `examples`, flat for HDF5.

    `arms`: the files of each arm, in any order; a file's number of examples is its `examples`.
    `settings`: figure 6 of the configuration (width, examples, largest_indices, bin_runs,
    bootstrap). Fits are made for each of largest_indices and TOLERANCES; the first and TOLERANCE
    are those that the figure draws.
    """
    rows = [_one_phi(arms, examples, settings, seed) for examples in settings["examples"]]
    differences = np.concatenate([row.pop("pair_differences") for row in rows])
    statistics = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return (
        statistics
        | {
            "examples": np.array(settings["examples"]),
            "phi": 2 * settings["width"] / np.array(settings["examples"]),
            "tolerances": np.array(TOLERANCES),
            "largest_indices": np.array(settings["largest_indices"]),
            "status": np.array(STATUS),
            "pair_p_value": wilcoxon(differences).pvalue if np.any(differences) else np.nan,
            "drawn_tolerance": TOLERANCES.index(TOLERANCE),
            "law_phi": LAW_PHI,
            "law/quadratic": quadratic_law(LAW_PHI),
            "law/linear": linear_law(LAW_PHI),
            "law/linear_printed": linear_law(LAW_PHI, printed=True),
        }
        | dict(_bins(arms, settings))
    )


def summary_columns() -> list[str]:
    return ["phi", "quantity", "largest_index", "tolerance", "value", "low", "high"]


def summary_rows(statistics: Mapping[str, Any]) -> Iterator[list[Any]]:
    """The fits with their intervals, and the counts, as lines of a table."""
    for i, phi in enumerate(statistics["phi"]):
        for kind in ("fixed", "free"):
            for j, largest in enumerate(statistics["largest_indices"]):
                for k, tolerance in enumerate(TOLERANCES):
                    values = statistics[f"{kind}_fit"][i, j, k]
                    for p, name in enumerate(PARAMETERS):
                        if kind == "fixed" and name == "exponent":
                            continue
                        yield [phi, f"{kind}/{name}", largest, tolerance, *values[p]]
        for name in _COUNTS:
            yield [phi, name, "", "", statistics[name][i], "", ""]
    yield ["all", "pair_p_value", "", "", statistics["pair_p_value"], "", ""]


_COUNTS = (
    "runs",
    "accepted",
    "starts_capped",
    "refined_runs",
    "refined_accepted",
    "refined_critical",
    "refined_flat",
    "refined_index_changed",
    "refined_index_shift",
    "descent_runs",
    "descent_accepted",
    "pairs",
    "pair_energy_difference",
    "pair_index_difference",
    "minimum_runs",
    "minimum_converged",
    "minimum_energy",
    "minimum_energy_error",
    "linear_runs",
    "linear_energy",
    "linear_energy_error",
    "linear_largest_difference",
)


def _one_phi(
    arms: Mapping[str, Sequence[Table]], examples: int, settings: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    newton, refined, descent, minimum, linear = (joined(arms[arm], examples) for arm in ARMS)
    accepted = newton["gradient_squared"] < ACCEPT
    indices = fraction_below(newton["eigenvalues"], TOLERANCES)
    fits = {
        kind: [
            [
                _row(
                    fit_index(
                        newton["energy"][accepted],
                        index[accepted],
                        largest_index=largest,
                        free_exponent=kind == "free",
                        bootstrap=settings["bootstrap"],
                        seed=derive_seed(seed, "index_fits", examples),
                    )
                )
                for index in indices
            ]
            for largest in settings["largest_indices"]
        ]
        for kind in ("fixed", "free")
    }
    return {
        "fixed_fit": fits["fixed"],
        "free_fit": fits["free"],
        "runs": accepted.size,
        "accepted": accepted.sum(),
        "by_status": np.bincount(newton["status"], minlength=len(STATUS)),
        "starts_capped": newton["start_capped"].sum(),
        "mean_index": indices[:, accepted].mean(axis=1),
        "smallest_index": indices[TOLERANCES.index(TOLERANCE), accepted].min(initial=1),
    } | (_refined(refined) | _compared(newton, descent) | _minimum(minimum) | _linear(linear))


def joined(tables: Sequence[Table], examples: int) -> dict[str, Any]:
    """The tables of one number of examples as one, run by run."""
    chosen = [table for table in tables if int(table["examples"]) == examples]
    names = [name for name in chosen[0] if name != "examples"]
    whole = {name: np.concatenate([table[name] for table in chosen]) for name in names}
    order = np.argsort(whole["run"])
    return {name: values[order] for name, values in whole.items()}


def _row(fit: IndexFit | None) -> Array:
    """(parameter, (value, low, high)); nan where there is no fit."""
    if fit is None:
        return np.full((len(PARAMETERS), 3), np.nan)
    return np.array([[getattr(fit, name), *fit.intervals[name]] for name in PARAMETERS])


def _refined(table: Table) -> dict[str, Any]:
    reached = table["accepted_steps"] >= 0
    critical = table["gradient_squared"] < REFINED
    changed = table["accepted_reduced_index"] != table["reduced_index"]
    shift = np.abs(table["accepted_reduced_index"] - table["reduced_index"])[reached]
    return {
        "refined_runs": reached.size,
        "refined_accepted": reached.sum(),
        "refined_critical": critical.sum(),
        "refined_flat": (table["status"] == STATUS.index("flat")).sum(),
        "refined_index_changed": (reached & changed).sum(),
        "refined_index_shift": shift.mean() if shift.size else np.nan,
    }


def _compared(newton: Table, descent: Table) -> dict[str, Any]:
    """Runs that both methods, the paper's with Newton's at its end, bring below the bound."""
    among = np.searchsorted(newton["run"], descent["run"])
    both = (newton["gradient_squared"][among] < ACCEPT) & (
        descent["continued_gradient_squared"] < ACCEPT
    )
    energy = (descent["continued_energy"] - newton["energy"][among])[both]
    index = (
        fraction_below(descent["continued_eigenvalues"], (TOLERANCE,))[0]
        - fraction_below(newton["eigenvalues"][among], (TOLERANCE,))[0]
    )[both]
    return {
        "descent_runs": descent["run"].size,
        "descent_accepted": (descent["gradient_squared"] < ACCEPT).sum(),
        "pairs": both.sum(),
        "pair_differences": energy,
        "pair_energy_difference": energy.mean() if energy.size else np.nan,
        "pair_index_difference": index.mean() if index.size else np.nan,
    }


def _minimum(table: Table) -> dict[str, Any]:
    energy = table["energy"]
    return {
        "minimum_runs": energy.size,
        "minimum_converged": (table["gradient_squared"] < REFINED).sum(),
        "minimum_energy": energy.mean(),
        "minimum_energy_error": energy.std(ddof=1) / np.sqrt(energy.size),
    }


def _linear(table: Table) -> dict[str, Any]:
    energy = table["energy"]
    return {
        "linear_runs": energy.size,
        "linear_energy": energy.mean(),
        "linear_energy_error": energy.std(ddof=1) / np.sqrt(energy.size),
        "linear_largest_difference": np.abs(energy - table["exact_energy"]).max(),
    }


def _bins(
    arms: Mapping[str, Sequence[Table]], settings: Mapping[str, Any]
) -> Iterator[tuple[str, Array]]:
    for arm in ("newton", "descent"):
        for examples in settings["examples"]:
            table = joined(arms[arm], examples)
            prefix = "continued_" if arm == "descent" else ""
            accepted = table[f"{prefix}gradient_squared"] < ACCEPT
            index = fraction_below(table[f"{prefix}eigenvalues"], (TOLERANCE,))[0][accepted]
            energy = table[f"{prefix}energy"][accepted]
            yield f"{arm}/{examples}/index", index
            yield f"{arm}/{examples}/energy", energy
            if arm == "newton" and index.size:
                bins = mean_energy_by_index(energy, index, least_runs=settings["bin_runs"])
                for name in ("index", "energy", "error", "runs"):
                    yield f"bins/{examples}/{name}", getattr(bins, name)
