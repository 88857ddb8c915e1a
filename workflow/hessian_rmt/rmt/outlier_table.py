"""One table of outliers per run, from the files of its units."""

from collections.abc import Mapping, Sequence

import numpy as np

from hessian_rmt.errors import UserError


def merge_outlier_tables(
    epochs: Sequence[int], tables: Sequence[Mapping[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Merge units' tables (one epoch, any part of the grid) into arrays (epoch, batch, seed, ...).

    Raises UserError when the units do not fill the grid, or fill a cell twice.
    """
    axes = {
        "epoch": np.unique(epochs),
        "batch_size": np.unique(np.concatenate([t["batch_size"] for t in tables])),
        "seed": np.unique(np.concatenate([t["seed"] for t in tables])),
    }
    shape = tuple(len(axis) for axis in axes.values())
    fields = [name for name in tables[0] if name not in axes]
    merged = {
        name: np.empty(shape + tables[0][name].shape[2:], tables[0][name].dtype) for name in fields
    }
    filled = np.zeros(shape, dtype=int)
    for epoch, table in zip(epochs, tables, strict=True):
        cells = np.ix_(
            np.searchsorted(axes["epoch"], [epoch]),
            np.searchsorted(axes["batch_size"], table["batch_size"]),
            np.searchsorted(axes["seed"], table["seed"]),
        )
        filled[cells] += 1
        for name in fields:
            merged[name][cells] = table[name]
    if not (filled == 1).all():
        raise UserError(
            f"the units of the outlier grid fill {np.count_nonzero(filled == 1)} of {filled.size} "
            "cells just once; delete the run's outliers/ folder and run again"
        )
    return axes | merged
