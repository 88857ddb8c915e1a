"""The certified outermost eigenvalues of one drawn batch's Hessian."""

from hessian_rmt.curvature.extreme_batches import extreme_table
from hessian_rmt.jobs import job
from hessian_rmt.storage import write_hdf5
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
    table = extreme_table(
        wildcards.run,
        params.settings,
        run.network.double(),
        run.loss,
        *run.examples("train"),
        run.epoch,
        wildcards.sample,
        log,
    )
    write_hdf5(
        snakemake.output.table,
        table | {"training_loss": run.training_loss, "data": run.data.kind},
        run.provenance(),
    )
