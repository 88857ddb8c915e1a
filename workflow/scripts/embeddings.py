"""A run's features at a checkpoint, as a data set for other runs."""

import torch

from hessian_rmt.data.loading import load_dataset
from hessian_rmt.jobs import job, threads_granted
from hessian_rmt.networks.features import penultimate_features
from hessian_rmt.provenance import Stopwatch, provenance
from hessian_rmt.storage import write_hdf5
from hessian_rmt.training import load_checkpoint, network_at, resolve_device

settings, run = snakemake.params.settings, snakemake.wildcards.run

with job(snakemake.log[0]) as log:
    stopwatch = Stopwatch()
    torch.set_num_threads(threads_granted(snakemake.threads, settings))
    device = resolve_device(settings["compute"]["device"])
    data = load_dataset(settings["dataset"], snakemake.params.data_folder)
    network = network_at(run, settings, data, load_checkpoint(snakemake.input.checkpoint))
    network = network.to(device)
    train = penultimate_features(network, data.train_inputs, log)
    held_out = penultimate_features(network, data.held_out_inputs, log)
    epoch = int(snakemake.wildcards.epoch)
    write_hdf5(
        snakemake.output.features,
        {
            "train_inputs": train,
            "train_targets": data.train_targets,
            "test_inputs": held_out,
            "test_targets": data.held_out_targets,
            "classes": data.classes,
            "data": f"{train.shape[1]} features of {run} at epoch {epoch}, {data.kind}",
        },
        provenance(
            settings,
            inputs=[snakemake.input.checkpoint],
            threads=snakemake.threads,
            device=str(device),
            stopwatch=stopwatch,
            packages=("torch", "numpy"),
        ),
    )
