"""Extreme eigenvalues of drawn batches against the full Hessian's, for one run and epoch."""

from hessian_rmt.jobs import job
from hessian_rmt.provenance import Stopwatch, provenance
from hessian_rmt.rmt.density_statistics import DRAW_COLUMNS, draw_rows, draw_statistics
from hessian_rmt.storage import read_hdf5, write_csv, write_hdf5

run, epoch = snakemake.wildcards.run, int(snakemake.wildcards.epoch)

with job(snakemake.log[0]):
    stopwatch = Stopwatch()
    full = read_hdf5(snakemake.input.full)
    draws = [read_hdf5(path) for path in snakemake.input.draws]
    statistics = draw_statistics(full, draws)
    write_hdf5(
        snakemake.output.statistics,
        statistics | {"epoch": epoch, "data": full["data"]},
        provenance(
            {"seed": snakemake.params.seed},
            inputs=[snakemake.input.full, *snakemake.input.draws],
            stopwatch=stopwatch,
            packages=("numpy", "scipy"),
        ),
    )
    write_csv(snakemake.output.table, DRAW_COLUMNS, draw_rows(run, epoch, statistics))
