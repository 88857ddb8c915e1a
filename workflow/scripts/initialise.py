"""The checkpoint of epoch 0: a run's network at its initialisation."""

from pathlib import Path

import torch

from hessian_rmt.data.loading import load_dataset
from hessian_rmt.jobs import job, threads_granted
from hessian_rmt.storage import write_csv
from hessian_rmt.training import history_table, initial_checkpoint, save_checkpoint

settings = snakemake.params.settings

with job(snakemake.log[0]):
    torch.set_num_threads(threads_granted(snakemake.threads, settings))
    data = load_dataset(settings["dataset"], snakemake.params.data_folder)
    checkpoint = initial_checkpoint(snakemake.wildcards.run, settings, data)
    save_checkpoint(Path(snakemake.output.checkpoint), checkpoint)
    write_csv(snakemake.output.history, *history_table(checkpoint))
