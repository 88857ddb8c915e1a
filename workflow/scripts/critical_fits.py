"""Index fits, comparisons and counts from all critical points of figure 6."""

from hessian_rmt.geometry.critical_grid import ARMS
from hessian_rmt.geometry.critical_statistics import (
    critical_statistics,
    summary_columns,
    summary_rows,
)
from hessian_rmt.jobs import job
from hessian_rmt.provenance import Stopwatch, provenance
from hessian_rmt.storage import read_hdf5, write_csv, write_hdf5

settings, seed = snakemake.params.settings, snakemake.params.seed

with job(snakemake.log[0]):
    stopwatch = Stopwatch()
    arms = {arm: [read_hdf5(path) for path in snakemake.input[arm]] for arm in ARMS}
    statistics = critical_statistics(arms, settings, seed)
    write_hdf5(
        snakemake.output.statistics,
        statistics,
        provenance(
            settings | {"seed": seed},
            inputs=[path for arm in ARMS for path in snakemake.input[arm]],
            stopwatch=stopwatch,
            packages=("numpy", "scipy"),
        ),
    )
    write_csv(snakemake.output.table, summary_columns(), summary_rows(statistics))
