"""One table of a run's outliers from the files of its units."""

from hessian_rmt.jobs import job
from hessian_rmt.provenance import Stopwatch, provenance
from hessian_rmt.rmt.outlier_table import merge_outlier_tables
from hessian_rmt.storage import read_hdf5, write_hdf5

with job(snakemake.log[0]):
    stopwatch = Stopwatch()
    tables = [read_hdf5(path) for path in snakemake.input.units]
    scalars = ("epoch", "training_loss", "data")
    merged = merge_outlier_tables(
        [int(table["epoch"]) for table in tables],
        [{k: v for k, v in table.items() if k not in scalars} for table in tables],
    )
    write_hdf5(
        snakemake.output.table,
        merged | {"data": tables[0]["data"]},
        provenance(snakemake.params.settings, inputs=snakemake.input.units, stopwatch=stopwatch),
    )
