"""`geometry` figure 1: densities of Wishart + Wigner, roots of (18) and sampled matrices."""

from hessian_rmt.figures.geometry_laws import draw_densities
from hessian_rmt.jobs import job
from hessian_rmt.storage import read_hdf5

with job(snakemake.log[0]):
    draw_densities(read_hdf5(snakemake.input.statistics), dict(snakemake.output.items()))
