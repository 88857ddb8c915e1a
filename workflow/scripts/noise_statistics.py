"""Statistics of a run's noise matrices at one epoch, beside the fitted outlier model."""

from hessian_rmt.jobs import job
from hessian_rmt.provenance import Stopwatch, provenance
from hessian_rmt.rmt.noise_statistics import noise_statistics
from hessian_rmt.seeds import derive_seed
from hessian_rmt.storage import read_hdf5, write_hdf5

params = snakemake.params

with job(snakemake.log[0]):
    stopwatch = Stopwatch()
    statistics = noise_statistics(
        read_hdf5(snakemake.input.table),
        read_hdf5(snakemake.input.fits),
        replicates=params.replicates,
        seed=derive_seed(params.seed, snakemake.wildcards.run, int(snakemake.wildcards.epoch)),
    )
    write_hdf5(
        snakemake.output.statistics,
        statistics,
        provenance(
            {"replicates": params.replicates, "seed": params.seed},
            inputs=[snakemake.input.table, snakemake.input.fits],
            stopwatch=stopwatch,
            packages=("numpy", "scipy"),
        ),
    )
