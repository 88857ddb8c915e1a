"""Train from one checkpoint, or from the initialisation, to the next."""

from pathlib import Path

import torch

from hessian_rmt.data.loading import load_dataset
from hessian_rmt.jobs import job, threads_granted
from hessian_rmt.storage import write_csv
from hessian_rmt.training import (
    history_table,
    initial_checkpoint,
    load_checkpoint,
    save_checkpoint,
    train_segment,
)

settings, run = snakemake.params.settings, snakemake.wildcards.run

with job(snakemake.log[0]) as log:
    torch.set_num_threads(threads_granted(snakemake.threads, settings))
    data = load_dataset(settings["dataset"], snakemake.params.data_folder)
    previous = snakemake.input.previous
    checkpoint = train_segment(
        run,
        settings,
        data,
        load_checkpoint(previous[0]) if previous else initial_checkpoint(run, settings, data),
        int(snakemake.wildcards.epoch),
        log,
        state=Path(snakemake.params.state),
    )
    save_checkpoint(Path(snakemake.output.checkpoint), checkpoint)
    write_csv(snakemake.output.history, *history_table(checkpoint))
