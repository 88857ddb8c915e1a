"""The loss and accuracy of a run by epoch, from its last checkpoint."""

from hessian_rmt.averaging import table
from hessian_rmt.jobs import job
from hessian_rmt.storage import write_csv
from hessian_rmt.training import HISTORY_COLUMNS, load_checkpoint

with job(snakemake.log[0]):
    checkpoint = load_checkpoint(snakemake.input.checkpoint)
    write_csv(
        snakemake.output.table, *table(HISTORY_COLUMNS, checkpoint.history, checkpoint.average)
    )
