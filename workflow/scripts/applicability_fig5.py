"""`applicability` figure 5: spectral densities of Gaussian-process Hessians."""

from hessian_rmt.figures.gaussian_process import draw_densities
from hessian_rmt.jobs import job
from hessian_rmt.storage import read_hdf5

with job(snakemake.log[0]):
    draw_densities(read_hdf5(snakemake.input.statistics), dict(snakemake.output.items()))
