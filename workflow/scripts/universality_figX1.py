"""`universality` figure X1: norm, cumulants and shape of the noise against the batch size."""

from hessian_rmt.figures.noise import Panel, draw_scaling
from hessian_rmt.jobs import job
from hessian_rmt.storage import read_hdf5

with job(snakemake.log[0]):
    panels = [
        Panel(label, read_hdf5(path))
        for label, path in zip(snakemake.params.labels, snakemake.input.statistics, strict=True)
    ]
    draw_scaling(panels, dict(snakemake.output.items()))
