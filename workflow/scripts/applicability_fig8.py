"""`applicability` figure 8: lowest validation loss and error against training time, with fits."""

from hessian_rmt.figures.generalisation import draw_budgets
from hessian_rmt.jobs import job
from hessian_rmt.storage import read_hdf5

params = snakemake.params

with job(snakemake.log[0]):
    statistics = read_hdf5(snakemake.input.statistics)
    draw_budgets(statistics, params.label, dict(snakemake.output.items()))
