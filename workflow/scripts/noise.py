"""The noise of a run's batch Hessians at one epoch: dense matrices, and what is kept of them."""

import torch

from hessian_rmt.curvature.noise import NoiseGrid, measure_noise
from hessian_rmt.data.loading import load_dataset
from hessian_rmt.jobs import job, threads_granted
from hessian_rmt.provenance import Stopwatch, provenance
from hessian_rmt.storage import write_hdf5
from hessian_rmt.training import (
    load_checkpoint,
    loss_function,
    network_at,
    resolve_device,
    verify_loss,
)

settings, run = snakemake.params.settings, snakemake.wildcards.run

with job(snakemake.log[0]) as log:
    stopwatch = Stopwatch()
    torch.set_num_threads(threads_granted(snakemake.threads, settings))
    device = resolve_device(settings["compute"]["device"])
    data = load_dataset(settings["dataset"], snakemake.params.data_folder)
    checkpoint = load_checkpoint(snakemake.input.checkpoint)
    network = network_at(run, settings, data, checkpoint)
    verify_loss(network, settings, data, checkpoint)
    table = measure_noise(
        run,
        checkpoint.epoch,
        settings["seed"],
        network.to(device),
        loss_function(settings["training"]["loss"]),
        torch.from_numpy(data.train_inputs).to(device),
        torch.from_numpy(data.train_targets).to(device),
        NoiseGrid(**settings["noise"]),
        log,
        memory_mb=snakemake.resources.mem_mb,
    )
    write_hdf5(
        snakemake.output.table,
        table | {"epoch": checkpoint.epoch, "data": data.kind},
        provenance(
            settings,
            inputs=[snakemake.input.checkpoint],
            threads=snakemake.threads,
            device=str(device),
            stopwatch=stopwatch,
            packages=("torch", "numpy", "scipy"),
        ),
    )
