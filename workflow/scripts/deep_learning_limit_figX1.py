"""`deep_learning_limit` figure X1: spiked GOE matrices against (17) and (18)."""

from hessian_rmt.figures.deep_learning_limit import draw_spiked
from hessian_rmt.jobs import job
from hessian_rmt.storage import read_hdf5

with job(snakemake.log[0]):
    draw_spiked(read_hdf5(snakemake.input.statistics), dict(snakemake.output.items()))
