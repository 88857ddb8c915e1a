"""`universality` figure X3: concentration of preconditioned gradients, and rigidity."""

from hessian_rmt.figures.concentration import draw_concentration
from hessian_rmt.jobs import job
from hessian_rmt.storage import read_hdf5

with job(snakemake.log[0]):
    draw_concentration(read_hdf5(snakemake.input.statistics), dict(snakemake.output.items()))
