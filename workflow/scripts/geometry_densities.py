"""Sampled Wishart + Wigner matrices beside the roots of `geometry` (18)."""

from hessian_rmt.geometry.densities import density_statistics
from hessian_rmt.jobs import job
from hessian_rmt.provenance import Stopwatch, provenance
from hessian_rmt.storage import write_hdf5

settings = snakemake.params.settings

with job(snakemake.log[0]) as log:
    stopwatch = Stopwatch()
    write_hdf5(
        snakemake.output.statistics,
        density_statistics(**settings, log=log),
        provenance(settings, stopwatch=stopwatch, packages=("numpy", "scipy")),
    )
