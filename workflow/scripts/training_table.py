"""The loss and accuracy of a run by epoch: the history beside its last checkpoint."""

from pathlib import Path

from hessian_rmt.jobs import job
from hessian_rmt.storage import write_bytes

with job(snakemake.log[0]):
    write_bytes(snakemake.output.table, Path(snakemake.input.history).read_bytes())
