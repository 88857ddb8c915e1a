"""Exact spectra of some batches of a split, reduced or plain, or of the whole split."""

from hessian_rmt.curvature.exact_batches import exact_spectra
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
    table = exact_spectra(
        wildcards.spectra,
        run.network,
        run.loss,
        *run.examples(wildcards.part),
        params.settings["exact"]["batch_size"],
        log,
        memory_mb=snakemake.resources.mem_mb,
    )
    write_hdf5(snakemake.output.table, table | {"data": run.data.kind}, run.provenance())
