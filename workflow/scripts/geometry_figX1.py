"""`geometry` figure X1: index against energy, critical energies, the 3/2 law."""

from hessian_rmt.figures.geometry_laws import draw_indices
from hessian_rmt.jobs import job
from hessian_rmt.storage import read_hdf5

with job(snakemake.log[0]):
    draw_indices(read_hdf5(snakemake.input.statistics), dict(snakemake.output.items()))
