"""Validation errors of SGD and of the tail average, with paired differences."""

from hessian_rmt.generalisation.tail_averages import COLUMNS, averaging_statistics, summary_rows
from hessian_rmt.jobs import job
from hessian_rmt.provenance import Stopwatch, provenance
from hessian_rmt.storage import read_csv, write_csv, write_hdf5

params = snakemake.params

with job(snakemake.log[0]):
    stopwatch = Stopwatch()
    arms: dict[str, list] = {}
    for arm, path in zip(params.arms, snakemake.input.tables, strict=True):
        arms.setdefault(arm, []).append(read_csv(path))
    statistics = averaging_statistics(arms, reference=params.reference, averaged=params.averaged)
    write_hdf5(
        snakemake.output.statistics,
        statistics | {"data": params.data},
        provenance(
            {"reference": params.reference, "averaged": params.averaged, "seed": params.seed},
            inputs=snakemake.input.tables,
            stopwatch=stopwatch,
            packages=("numpy", "scipy"),
        ),
    )
    write_csv(snakemake.output.table, COLUMNS, summary_rows(statistics))
