"""`applicability` figure 7: validation error of SGD and of tail averages by epoch."""

from hessian_rmt.figures.generalisation import draw_averaging
from hessian_rmt.jobs import job
from hessian_rmt.storage import read_hdf5

params = snakemake.params

with job(snakemake.log[0]):
    statistics = read_hdf5(snakemake.input.statistics)
    draw_averaging(statistics, params.learning_rates, params.label, dict(snakemake.output.items()))
