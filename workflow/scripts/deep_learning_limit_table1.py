"""`deep_learning_limit` table 1: extreme Ritz values by sample size."""

from hessian_rmt.jobs import job
from hessian_rmt.rmt.density_statistics import AUGMENTED_COLUMNS, augmented_rows
from hessian_rmt.storage import read_hdf5, write_csv

with job(snakemake.log[0]):
    rows = []
    for row, path in zip(snakemake.params.rows, snakemake.input.statistics, strict=True):
        statistics = read_hdf5(path)
        own = augmented_rows(row["run"], row["epoch"], statistics)
        rows += [[row["label"], str(statistics["data"]), *values] for values in own]
    write_csv(snakemake.output.table, ("label", "data", *AUGMENTED_COLUMNS), rows)
