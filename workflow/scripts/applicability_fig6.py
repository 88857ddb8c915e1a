"""`applicability` figure 6: spacing ratios of Gaussian-process Hessians."""

from hessian_rmt.figures.gaussian_process import draw_ratios
from hessian_rmt.jobs import job
from hessian_rmt.storage import read_hdf5

with job(snakemake.log[0]):
    draw_ratios(read_hdf5(snakemake.input.statistics), dict(snakemake.output.items()))
