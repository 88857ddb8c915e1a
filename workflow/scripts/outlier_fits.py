"""Fit the outlier model of `universality` (2.33) to every epoch of a run."""

from hessian_rmt.jobs import job
from hessian_rmt.provenance import Stopwatch, provenance
from hessian_rmt.rmt.outlier_statistics import SUMMARY_COLUMNS, fit_every_epoch, summary_rows
from hessian_rmt.storage import read_hdf5, write_csv, write_hdf5

with job(snakemake.log[0]):
    stopwatch = Stopwatch()
    fits = snakemake.params.fits
    statistics = fit_every_epoch(
        read_hdf5(snakemake.input.table),
        method=fits["method"],
        bootstrap=fits["bootstrap"],
        seed=snakemake.params.seed,
    )
    write_hdf5(
        snakemake.output.fits,
        statistics,
        provenance(
            dict(fits) | {"seed": snakemake.params.seed},
            inputs=[snakemake.input.table],
            stopwatch=stopwatch,
            packages=("numpy", "scipy"),
        ),
    )
    write_csv(snakemake.output.table, SUMMARY_COLUMNS, summary_rows(statistics))
