"""The noise of a run's batch Hessians at one epoch: dense matrices, and what is kept of them."""

from hessian_rmt.curvature.noise import NoiseGrid, measure_noise
from hessian_rmt.jobs import job
from hessian_rmt.storage import write_hdf5
from hessian_rmt.trained import trained_run

settings, name = snakemake.params.settings, snakemake.wildcards.run

with job(snakemake.log[0]) as log:
    run = trained_run(
        name,
        settings,
        snakemake.params.data_folder,
        snakemake.input.checkpoint,
        snakemake.threads,
        log,
    )
    table = measure_noise(
        name,
        run.epoch,
        settings["seed"],
        run.network,
        run.loss,
        *run.examples("train"),
        NoiseGrid(**settings["noise"]),
        log,
        memory_mb=snakemake.resources.mem_mb,
    )
    write_hdf5(
        snakemake.output.table,
        table | {"epoch": run.epoch, "data": run.data.kind},
        run.provenance("scipy"),
    )
