"""`universality` figure 5: random regular graphs plus Wigner and Wishart matrices."""

from hessian_rmt.figures.free_sums import draw_graphs
from hessian_rmt.jobs import job
from hessian_rmt.storage import read_hdf5

with job(snakemake.log[0]):
    draw_graphs(read_hdf5(snakemake.input.statistics), dict(snakemake.output.items()))
