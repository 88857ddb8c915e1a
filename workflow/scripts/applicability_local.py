"""`applicability` figure 4 and the grids figS: spacings and ratios, arm by arm."""

from hessian_rmt.figures.applicability import Cell, draw_local
from hessian_rmt.jobs import job
from hessian_rmt.storage import read_hdf5

with job(snakemake.log[0]):
    labels, paths = snakemake.params.labels, snakemake.input.statistics
    cells = [Cell(label, read_hdf5(p)) for label, p in zip(labels, paths, strict=True)]
    draw_local(cells, dict(snakemake.output.items()))
