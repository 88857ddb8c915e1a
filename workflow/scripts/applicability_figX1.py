"""`applicability` figure X1: number variance and spectral rigidity."""

from hessian_rmt.figures.applicability import Cell
from hessian_rmt.figures.rigidity import draw_rigidity
from hessian_rmt.jobs import job
from hessian_rmt.storage import read_hdf5

with job(snakemake.log[0]):
    labels, paths = snakemake.params.labels, snakemake.input.statistics
    cells = [Cell(label, read_hdf5(p)) for label, p in zip(labels, paths, strict=True)]
    draw_rigidity(cells, dict(snakemake.output.items()))
