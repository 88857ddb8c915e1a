"""Index curves, critical energies and exponents of `geometry` (18), (30); sampled indices."""

from hessian_rmt.geometry.indices import index_statistics
from hessian_rmt.jobs import job
from hessian_rmt.provenance import Stopwatch, provenance
from hessian_rmt.storage import write_hdf5

settings = snakemake.params.settings

with job(snakemake.log[0]) as log:
    stopwatch = Stopwatch()
    write_hdf5(
        snakemake.output.statistics,
        index_statistics(**settings, log=log),
        provenance(settings, stopwatch=stopwatch, packages=("numpy", "scipy")),
    )
