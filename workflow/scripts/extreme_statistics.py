"""Ratios of certified outermost eigenvalues and their tests, for one run and epoch."""

from hessian_rmt.jobs import job
from hessian_rmt.provenance import Stopwatch, provenance
from hessian_rmt.rmt.extreme_statistics import SUMMARY_COLUMNS, extreme_statistics, summary_rows
from hessian_rmt.seeds import derive_seed
from hessian_rmt.storage import read_hdf5, write_csv, write_hdf5

run, epoch = snakemake.wildcards.run, snakemake.wildcards.epoch

with job(snakemake.log[0]):
    stopwatch = Stopwatch()
    replicates, seed = snakemake.params.replicates, snakemake.params.seed
    tables = [read_hdf5(path) for path in snakemake.input.spectra]
    statistics = extreme_statistics(
        tables, replicates=replicates, seed=derive_seed(seed, "extreme_statistics")
    )
    write_hdf5(
        snakemake.output.statistics,
        statistics | {"data": tables[0]["data"]},
        provenance(
            {"replicates": replicates, "seed": seed},
            inputs=snakemake.input.spectra,
            stopwatch=stopwatch,
            packages=("numpy", "scipy"),
        ),
    )
    write_csv(snakemake.output.table, SUMMARY_COLUMNS, summary_rows(run, int(epoch), statistics))
