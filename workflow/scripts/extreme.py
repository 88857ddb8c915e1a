"""The certified outermost eigenvalues of one drawn batch's Hessian."""

import torch

from hessian_rmt.curvature.extreme_batches import extreme_table
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

settings, wildcards = snakemake.params.settings, snakemake.wildcards

with job(snakemake.log[0]) as log:
    stopwatch = Stopwatch()
    torch.set_num_threads(threads_granted(snakemake.threads, settings))
    device = resolve_device(settings["compute"]["device"])
    data = load_dataset(settings["dataset"], snakemake.params.data_folder)
    checkpoint = load_checkpoint(snakemake.input.checkpoint)
    network = network_at(wildcards.run, settings, data, checkpoint).to(device)
    training_loss = verify_loss(network, settings, data, checkpoint)
    table = extreme_table(
        wildcards.run,
        settings,
        network.double(),
        loss_function(settings["training"]["loss"]),
        torch.from_numpy(data.train_inputs).to(device),
        torch.from_numpy(data.train_targets).to(device),
        int(wildcards.epoch),
        wildcards.sample,
        log,
    )
    write_hdf5(
        snakemake.output.table,
        table | {"training_loss": training_loss, "data": data.kind},
        provenance(
            settings,
            inputs=[snakemake.input.checkpoint],
            threads=snakemake.threads,
            device=str(device),
            stopwatch=stopwatch,
            packages=("torch", "numpy"),
        ),
    )
