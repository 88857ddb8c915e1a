"""The outlier model fitted to every epoch of a run, with the restricted forms beside it."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from hessian_rmt.rmt.outlier_model import OutlierFit, fit_outliers
from hessian_rmt.seeds import derive_seed

# The full form and its restrictions by the configured method, and the full form by the paper's own
FITS = ("full", "half", "semicircle", "adam")
SCALARS = (
    "alpha",
    "beta",
    "gamma",
    "beta_gamma",
    "exponent",
    "mse",
    "r_squared",
    "relative_rmse",
    "chi_squared",
    "degrees_of_freedom",
    "aic",
)
SUMMARY_COLUMNS = ("epoch", "fit", *SCALARS)


def fit_every_epoch(
    table: Mapping[str, Any], *, method: str, bootstrap: int, seed: int
) -> dict[str, np.ndarray]:
    """Statistics of a merged outlier table (`rmt.outlier_table`), flat for HDF5.

    Epochs are fitted separately (`universality` section 2.4). Returns epoch (E,), batch_size (B,),
    mean (E, B, k), standard_error (E, B, k) and, for each fit F of `FITS`: F/theta (E, k),
    F/{scalar} (E,), F/intervals/{name} (E, ..., 2) for the full form, F/curve (E, B, k) the fitted
    values. The bootstrap is that of the full form; the others are there to be compared by their
    AIC.
    """
    values = table["values"]
    statistics = {
        "epoch": table["epoch"],
        "batch_size": table["batch_size"],
        "mean": values.mean(axis=2),
        "standard_error": values.std(axis=2, ddof=1) / np.sqrt(values.shape[2])
        if values.shape[2] > 1
        else np.full_like(values[:, :, 0], np.nan),
    }
    for name in FITS:
        fits = [
            fit_outliers(
                table["batch_size"],
                values[i],
                method="adam" if name == "adam" else method,
                form="full" if name == "adam" else name,
                bootstrap=bootstrap if name == "full" else 0,
                seed=derive_seed(seed, "outlier_fits", int(epoch)),
            )
            for i, epoch in enumerate(table["epoch"])
        ]
        statistics |= {f"{name}/{part}": value for part, value in _stacked(fits)}
        statistics[f"{name}/curve"] = np.stack([fit.predict(table["batch_size"]) for fit in fits])
    return statistics


def summary_rows(statistics: Mapping[str, np.ndarray]) -> Iterator[list[Any]]:
    """A row of `SUMMARY_COLUMNS` for each epoch and fit."""
    for i, epoch in enumerate(statistics["epoch"]):
        for fit in FITS:
            yield [int(epoch), fit, *(statistics[f"{fit}/{name}"][i] for name in SCALARS)]


def _stacked(fits: list[OutlierFit]) -> Iterator[tuple[str, np.ndarray]]:
    for name in ("theta", "grid_exponents", "grid_mse"):
        yield name, np.stack([getattr(fit, name) for fit in fits])
    for name in SCALARS:
        yield name, np.array([getattr(fit, name) for fit in fits])
    for name in fits[0].intervals:
        ends = [np.stack(fit.intervals[name], axis=-1) for fit in fits]
        yield f"intervals/{name}", np.stack(ends)
