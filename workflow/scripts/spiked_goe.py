"""Simulated GOE matrices with a spike against (17) and (18) of `deep_learning_limit`."""

from hessian_rmt.jobs import job
from hessian_rmt.provenance import Stopwatch, provenance
from hessian_rmt.rmt.spiked_wigner import COLUMNS, spiked_statistics, summary_rows
from hessian_rmt.storage import write_csv, write_hdf5

with job(snakemake.log[0]):
    stopwatch, settings = Stopwatch(), snakemake.params.settings
    statistics = spiked_statistics(settings)
    record = provenance(settings, stopwatch=stopwatch, packages=("numpy", "scipy"))
    write_hdf5(snakemake.output.statistics, statistics, record)
    write_csv(snakemake.output.table, COLUMNS, summary_rows(statistics))
