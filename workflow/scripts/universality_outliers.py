"""Outliers against batch size: `universality` figure 1, figure 2 and the atlas of a run."""

from hessian_rmt.figures.universality import OutlierRow, draw_outliers
from hessian_rmt.jobs import job
from hessian_rmt.storage import read_hdf5

with job(snakemake.log[0]):
    rows = []
    for row, table, fits in zip(
        snakemake.params.rows, snakemake.input.tables, snakemake.input.fits, strict=True
    ):
        rows.append(
            OutlierRow(
                run=row["run"],
                label=row["label"],
                epoch=row["epoch"],
                table=read_hdf5(table),
                statistics=read_hdf5(fits),
            )
        )
    draw_outliers(rows, snakemake.params.outliers, dict(snakemake.output.items()))
