"""Extreme eigenvalues by sample size, augmented sets included, for one run and epoch."""

from hessian_rmt.jobs import job
from hessian_rmt.provenance import Stopwatch, provenance
from hessian_rmt.rmt.density_statistics import (
    AUGMENTED_COLUMNS,
    augmented_rows,
    augmented_statistics,
)
from hessian_rmt.storage import read_hdf5, write_csv, write_hdf5

run, epoch, files = snakemake.wildcards.run, int(snakemake.wildcards.epoch), snakemake.input

with job(snakemake.log[0]):
    stopwatch = Stopwatch()
    full = read_hdf5(files.full)
    statistics = augmented_statistics(
        full,
        [read_hdf5(path) for path in files.augmented],
        [read_hdf5(path) for path in files.draws],
    )
    write_hdf5(
        snakemake.output.statistics,
        statistics | {"epoch": epoch, "data": full["data"]},
        provenance(
            {"seed": snakemake.params.seed},
            inputs=[files.full, *files.augmented, *files.draws],
            stopwatch=stopwatch,
            packages=("numpy", "scipy"),
        ),
    )
    write_csv(snakemake.output.table, AUGMENTED_COLUMNS, augmented_rows(run, epoch, statistics))
