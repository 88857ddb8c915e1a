"""`universality` table X1: the complexity integral (4.17), printed and rescaling-invariant."""

import numpy as np

from hessian_rmt.jobs import job
from hessian_rmt.rmt.complexity import COLUMNS, batches_row, noise_row, table_rows
from hessian_rmt.rmt.local_statistics import SIGNAL
from hessian_rmt.storage import read_hdf5, write_csv

with job(snakemake.log[0]):
    rows = []
    for cell in snakemake.params.cells:
        files = [read_hdf5(path) for path in cell["files"]]
        eigenvalues, kind = (
            np.concatenate([file[name] for file in files]) for name in ("eigenvalues", "kind")
        )
        row = batches_row(eigenvalues, kind == SIGNAL)
        rows.append(cell | row | {"data": files[0]["data"]})
    for cell in snakemake.params.noise:
        table = read_hdf5(cell["file"])
        rows.append(cell | noise_row(table) | {"data": table["data"]})
    write_csv(snakemake.output.table, COLUMNS, table_rows(rows))
