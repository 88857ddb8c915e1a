"""The spectral density of a run's Hessian over one sample of its training split."""

import torch

from hessian_rmt.curvature.density import density_table
from hessian_rmt.jobs import job
from hessian_rmt.storage import read_hdf5, write_hdf5
from hessian_rmt.trained import trained_run

params, wildcards = snakemake.params, snakemake.wildcards

with job(snakemake.log[0]) as log:
    run = trained_run(
        wildcards.run,
        params.settings,
        params.data_folder,
        snakemake.input.checkpoint,
        snakemake.threads,
        log,
    )
    smaller = [read_hdf5(path)["extreme_vectors"] for path in snakemake.input.smaller]
    dtype = getattr(torch, params.settings["density"]["precision"])
    inputs, targets = run.examples("train")
    table = density_table(
        wildcards.run,
        params.settings,
        run.network.to(dtype),
        run.loss,
        inputs.to(dtype),
        targets,
        run.epoch,
        wildcards.sample,
        log,
        start=smaller[0] if smaller else None,
    )
    write_hdf5(
        snakemake.output.table,
        table | {"epoch": run.epoch, "training_loss": run.training_loss, "data": run.data.kind},
        run.provenance("scipy"),
    )
