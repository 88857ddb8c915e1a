"""The top eigenpairs of batch Hessians for one unit of a run's grid."""

import torch

from hessian_rmt.curvature.outliers import outlier_table, parse_unit
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
curvature = settings["curvature"]

with job(snakemake.log[0]) as log:
    stopwatch = Stopwatch()
    torch.set_num_threads(threads_granted(snakemake.threads, settings))
    device = resolve_device(settings["compute"]["device"])
    dtype = getattr(torch, curvature["precision"])
    data = load_dataset(settings["dataset"], snakemake.params.data_folder)
    checkpoint = load_checkpoint(snakemake.input.checkpoint)
    network = network_at(run, settings, data, checkpoint).to(device)
    training_loss = verify_loss(network, settings, data, checkpoint)
    epoch, unit = parse_unit(snakemake.wildcards.unit, curvature["batch_sizes"], curvature["seeds"])
    table = outlier_table(
        run,
        settings,
        network.to(dtype),
        loss_function(settings["training"]["loss"]),
        torch.from_numpy(data.train_inputs).to(device, dtype),
        torch.from_numpy(data.train_targets).to(device),
        epoch,
        unit,
        log,
    )
    write_hdf5(
        snakemake.output.table,
        table | {"epoch": epoch, "training_loss": training_loss, "data": data.kind},
        provenance(
            settings,
            inputs=[snakemake.input.checkpoint],
            threads=snakemake.threads,
            device=str(device),
            stopwatch=stopwatch,
            packages=("torch", "numpy"),
        ),
    )
