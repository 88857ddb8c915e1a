"""`applicability` figure X2: spacing ratios of certified outermost eigenvalues."""

from hessian_rmt.figures.extreme import draw_extreme
from hessian_rmt.jobs import job
from hessian_rmt.storage import read_hdf5

with job(snakemake.log[0]):
    labels, paths = snakemake.params.labels, snakemake.input.statistics
    cells = {label: read_hdf5(path) for label, path in zip(labels, paths, strict=True)}
    draw_extreme(cells, dict(snakemake.output.items()))
