"""The top eigenpairs of batch Hessians for one unit of a run's grid."""

import torch

from hessian_rmt.curvature.outliers import outlier_table, parse_unit
from hessian_rmt.jobs import job
from hessian_rmt.storage import write_hdf5
from hessian_rmt.trained import trained_run

settings, name = snakemake.params.settings, snakemake.wildcards.run
curvature = settings["curvature"]

with job(snakemake.log[0]) as log:
    run = trained_run(
        name,
        settings,
        snakemake.params.data_folder,
        snakemake.input.checkpoint,
        snakemake.threads,
        log,
    )
    dtype = getattr(torch, curvature["precision"])
    inputs, targets = run.examples("train")
    epoch, unit = parse_unit(snakemake.wildcards.unit, curvature["batch_sizes"], curvature["seeds"])
    table = outlier_table(
        name,
        settings,
        run.network.to(dtype),
        run.loss,
        inputs.to(dtype),
        targets,
        epoch,
        unit,
        log,
    )
    write_hdf5(
        snakemake.output.table,
        table | {"epoch": epoch, "training_loss": run.training_loss, "data": run.data.kind},
        run.provenance(),
    )
