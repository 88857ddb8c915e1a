"""`universality` figure 3: the fitted parameters of the outlier model by epoch."""

from hessian_rmt.figures.universality import OutlierRow, draw_parameters
from hessian_rmt.jobs import job
from hessian_rmt.storage import read_hdf5

with job(snakemake.log[0]):
    runs = [
        OutlierRow(run=run, label=label, epoch=0, table=read_hdf5(t), statistics=read_hdf5(s))
        for run, label, t, s in zip(
            snakemake.params.runs,
            snakemake.params.labels,
            snakemake.input.tables,
            snakemake.input.fits,
            strict=True,
        )
    ]
    draw_parameters(runs, dict(snakemake.output.items()))
