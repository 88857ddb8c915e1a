"""`deep_learning_limit` figures 1 and 2: extreme eigenvalues of drawn batches by epoch."""

from hessian_rmt.figures.deep_learning_limit import draw_boxes
from hessian_rmt.jobs import job
from hessian_rmt.storage import read_hdf5

with job(snakemake.log[0]):
    params = snakemake.params
    cells = [
        (row["label"], row["epoch"], read_hdf5(path))
        for row, path in zip(params.rows, snakemake.input.statistics, strict=True)
    ]
    draw_boxes(cells, params.end, dict(snakemake.output.items()))
