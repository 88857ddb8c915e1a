"""Train from one checkpoint to the next."""

from pathlib import Path

import torch

from hessian_rmt.data.loading import load_dataset
from hessian_rmt.jobs import job, threads_granted
from hessian_rmt.training import load_checkpoint, save_checkpoint, train_segment

settings = snakemake.params.settings

with job(snakemake.log[0]) as log:
    torch.set_num_threads(threads_granted(snakemake.threads, settings))
    data = load_dataset(settings["dataset"], snakemake.params.data_folder)
    checkpoint = train_segment(
        snakemake.wildcards.run,
        settings,
        data,
        load_checkpoint(snakemake.input.previous),
        int(snakemake.wildcards.epoch),
        log,
        state=Path(snakemake.params.state),
    )
    save_checkpoint(Path(snakemake.output.checkpoint), checkpoint)
