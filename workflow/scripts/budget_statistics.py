"""Lowest validation loss and error by training budget, and fits of their decay."""

from hessian_rmt.generalisation.minima import FIT_COLUMNS, budget_statistics, fit_rows, lowest
from hessian_rmt.jobs import job
from hessian_rmt.provenance import Stopwatch, provenance
from hessian_rmt.seeds import derive_seed
from hessian_rmt.storage import read_csv, write_csv, write_hdf5

params = snakemake.params

with job(snakemake.log[0]):
    stopwatch = Stopwatch()
    measured = lowest([read_csv(path) for path in snakemake.input.tables], params.budgets)
    statistics = budget_statistics(
        measured, bootstrap=params.bootstrap, seed=derive_seed(params.seed, "budget_statistics")
    )
    write_hdf5(
        snakemake.output.statistics,
        statistics | {"data": params.data},
        provenance(
            {"bootstrap": params.bootstrap, "seed": params.seed},
            inputs=snakemake.input.tables,
            stopwatch=stopwatch,
            packages=("numpy", "scipy"),
        ),
    )
    write_csv(snakemake.output.table, FIT_COLUMNS, fit_rows(statistics))
