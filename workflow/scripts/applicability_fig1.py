"""`applicability` figure 1: global spectral densities of the GOE and of small networks."""

import numpy as np

from hessian_rmt.figures.applicability import draw_density
from hessian_rmt.jobs import job
from hessian_rmt.rmt.local_statistics import SIGNAL
from hessian_rmt.rmt.local_tests import goe_eigenvalues
from hessian_rmt.seeds import derive_seed
from hessian_rmt.storage import read_hdf5

MATRICES, SIZE = 60, 2000

with job(snakemake.log[0]):
    rng = np.random.default_rng(derive_seed(snakemake.params.seed, "applicability", "fig1"))
    goe = np.concatenate([goe_eigenvalues(SIZE, rng) for _ in range(MATRICES)]) / np.sqrt(SIZE)
    panels = {"GOE": (f"{MATRICES} sampled matrices", goe, goe.size)}
    for label, paths in zip(snakemake.params.labels, snakemake.params.files, strict=True):
        tables = [read_hdf5(path) for path in paths]
        values = [t["eigenvalues"][t["kind"] == SIGNAL] for t in tables]
        total = sum(t["eigenvalues"].size for t in tables)
        panels[label] = (str(tables[0]["data"]), np.concatenate(values), total)
    draw_density(panels, dict(snakemake.output.items()))
