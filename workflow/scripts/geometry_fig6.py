"""`geometry` figure 6: critical points, their energy and index."""

from hessian_rmt.figures.geometry_critical import draw_critical_points
from hessian_rmt.jobs import job
from hessian_rmt.storage import read_hdf5

with job(snakemake.log[0]):
    draw_critical_points(read_hdf5(snakemake.input.statistics), dict(snakemake.output.items()))
