"""Resolvents and eigenvalues of sampled matrices against their limits."""

from hessian_rmt.jobs import job
from hessian_rmt.provenance import Stopwatch, provenance
from hessian_rmt.rmt.concentration import concentration
from hessian_rmt.storage import write_hdf5

settings = snakemake.params.settings

with job(snakemake.log[0]):
    stopwatch = Stopwatch()
    write_hdf5(
        snakemake.output.statistics,
        concentration(**settings),
        provenance(settings, stopwatch=stopwatch, packages=("numpy", "scipy")),
    )
