"""`applicability` table X1: round-off by eigensolver."""

from hessian_rmt.jobs import job
from hessian_rmt.rmt.solver_round_off import COLUMNS, round_off_rows
from hessian_rmt.storage import read_hdf5, write_csv

with job(snakemake.log[0]):
    rows = []
    for row, path in zip(snakemake.params.rows, snakemake.input.spectra, strict=True):
        cell = [row["label"], row["run"], row["epoch"], row["part"]]
        rows += [cell + values for values in round_off_rows(read_hdf5(path))]
    write_csv(snakemake.output.table, ("label", "run", "epoch", "part", *COLUMNS), rows)
