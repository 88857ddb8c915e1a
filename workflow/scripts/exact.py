"""Exact spectra of some batches of a split, reduced or plain, or of the whole split."""

import torch

from hessian_rmt.curvature.exact_batches import exact_spectra
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
    network = network_at(wildcards.run, settings, data, checkpoint)
    verify_loss(network, settings, data, checkpoint)
    inputs, targets = {
        "train": (data.train_inputs, data.train_targets),
        "test": (data.held_out_inputs, data.held_out_targets),
    }[wildcards.part]
    table = exact_spectra(
        wildcards.spectra,
        network.to(device),
        loss_function(settings["training"]["loss"]),
        torch.from_numpy(inputs).to(device),
        torch.from_numpy(targets).to(device),
        settings["exact"]["batch_size"],
        log,
        memory_mb=snakemake.resources.mem_mb,
    )
    write_hdf5(
        snakemake.output.table,
        table | {"data": data.kind},
        provenance(
            settings,
            inputs=[snakemake.input.checkpoint],
            threads=snakemake.threads,
            device=str(device),
            stopwatch=stopwatch,
            packages=("torch", "numpy"),
        ),
    )
