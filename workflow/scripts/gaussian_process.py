"""Hessians of Gaussian processes: spectra, local statistics, and what round-off adds."""

from hessian_rmt.jobs import job
from hessian_rmt.provenance import Stopwatch, provenance
from hessian_rmt.rmt.gaussian_process import gaussian_process_study
from hessian_rmt.storage import write_hdf5

settings, seed = snakemake.params.settings, snakemake.params.seed
replicates = snakemake.params.replicates

with job(snakemake.log[0]) as log:
    stopwatch = Stopwatch()
    statistics = gaussian_process_study(settings, replicates=replicates, seed=seed, report=log.line)
    write_hdf5(
        snakemake.output.statistics,
        statistics,
        provenance(
            settings | {"replicates": replicates, "seed": seed},
            stopwatch=stopwatch,
            packages=("numpy", "scipy"),
        ),
    )
