"""`applicability` figure X3: theorem 8.1 on quadratics, theorem 8.2's distances and covariances."""

from hessian_rmt.figures.generalisation import draw_theorems
from hessian_rmt.jobs import job
from hessian_rmt.storage import read_hdf5

params = snakemake.params

with job(snakemake.log[0]):
    statistics = read_hdf5(snakemake.input.statistics)
    draw_theorems(statistics, params.learning_rates, params.label, dict(snakemake.output.items()))
