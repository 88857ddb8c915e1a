"""`universality` figure 4: sums of random matrices against free convolutions."""

from hessian_rmt.figures.free_sums import draw_pairs
from hessian_rmt.jobs import job
from hessian_rmt.storage import read_hdf5

with job(snakemake.log[0]):
    draw_pairs(read_hdf5(snakemake.input.statistics), dict(snakemake.output.items()))
