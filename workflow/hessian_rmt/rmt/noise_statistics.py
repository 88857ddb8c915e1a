"""All statistics of a noise file: scaling with b, delocalisation, local law, and their controls."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hessian_rmt.rmt.delocalisation import control_overlaps, delocalisation
from hessian_rmt.rmt.green_function import averaged_local_law
from hessian_rmt.rmt.noise_model import measured_against_fitted, noise_scaling
from hessian_rmt.seeds import derive_seed

CONTROL_ORDER = 600


def noise_statistics(
    table: Mapping[str, Any], fits: Mapping[str, Any], *, replicates: int, seed: int
) -> dict[str, Any]:
    """Flat for HDF5: scaling/..., fitted/..., directions/..., controls/..., green/....

    table: a noise file (`curvature.noise`); fits: the outlier model's of the same run. Eigenvectors
    whose eigenvalue is round-off are left out and counted in round_off.
    """
    order = int(table["dimension"])
    values = table["noise_eigenvalues"]
    floor = np.finfo(float).eps * order * np.abs(values).max(1)
    kept = np.abs(values[0]) > floor[0]
    parts = {
        "scaling": noise_scaling(table),
        "fitted": measured_against_fitted(table, fits, int(table["epoch"])),
        "directions": delocalisation(
            table["overlaps"][:, kept],
            table["direction/kind"],
            order,
            seed=derive_seed(seed, "delocalisation"),
        ),
        "green": averaged_local_law(
            values, replicates=replicates, seed=derive_seed(seed, "green_function")
        ),
    }
    rng = np.random.default_rng(derive_seed(seed, "delocalisation", "controls"))
    controls = control_overlaps(CONTROL_ORDER, int(sum(table["direction/kind"] == "random")), rng)
    parts["controls"] = delocalisation(
        np.concatenate(list(controls.values())),
        np.repeat(list(controls), [len(x) for x in controls.values()]),
        CONTROL_ORDER,
        seed=derive_seed(seed, "delocalisation"),
    )
    statistics = {
        f"{part}/{name}": value
        for part, of_part in parts.items()
        for name, value in of_part.items()
    }
    return statistics | {
        "dimension": order,
        "structural_zeros": int(table["parameters"]) - order,
        "round_off": np.sum(np.abs(values) <= floor[:, None], axis=1),
        "spectrum_batch_size": table["spectrum_batch_size"],
        "data": table["data"],
    }
