"""Spectra of sums of random matrices beside free convolutions."""

from hessian_rmt.jobs import job
from hessian_rmt.provenance import Stopwatch, provenance
from hessian_rmt.rmt.sums import sum_of_pairs, sum_with_graphs
from hessian_rmt.storage import write_hdf5

settings = snakemake.params.settings

with job(snakemake.log[0]):
    stopwatch = Stopwatch()
    compute = {"pairs": sum_of_pairs, "graphs": sum_with_graphs}[snakemake.wildcards.sums]
    write_hdf5(
        snakemake.output.statistics,
        compute(**settings),
        provenance(settings, stopwatch=stopwatch, packages=("numpy", "scipy")),
    )
