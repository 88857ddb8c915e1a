"""The loss and accuracy of a run by epoch, from its last checkpoint."""

from hessian_rmt.jobs import job
from hessian_rmt.storage import write_csv
from hessian_rmt.training import HISTORY_COLUMNS, load_checkpoint

with job(snakemake.log[0]):
    history = load_checkpoint(snakemake.input.checkpoint).history
    write_csv(
        snakemake.output.table, HISTORY_COLUMNS, [[int(epoch), *row] for epoch, *row in history]
    )
