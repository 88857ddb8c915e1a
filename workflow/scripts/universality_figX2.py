"""`universality` figure X2: delocalisation and local law of the noise."""

from hessian_rmt.figures.noise import Panel, draw_local_law
from hessian_rmt.jobs import job
from hessian_rmt.storage import read_hdf5

with job(snakemake.log[0]):
    panels = [
        Panel(label, read_hdf5(path), read_hdf5(table))
        for label, path, table in zip(
            snakemake.params.labels,
            snakemake.input.statistics,
            snakemake.input.tables,
            strict=True,
        )
    ]
    draw_local_law(panels, dict(snakemake.output.items()))
