"""Distances between a run's checkpoints, and covariances of the gradients at them."""

from hessian_rmt.curvature.iterates import blocks, iterate_table
from hessian_rmt.errors import UserError
from hessian_rmt.jobs import job
from hessian_rmt.storage import write_hdf5
from hessian_rmt.trained import trained_run
from hessian_rmt.training import load_checkpoint, network_at

settings, name = snakemake.params.settings, snakemake.wildcards.run
block, wanted = snakemake.params.block, snakemake.params.examples

with job(snakemake.log[0]) as log:
    run = trained_run(
        name,
        settings,
        snakemake.params.data_folder,
        snakemake.input.checkpoints[-1],
        snakemake.threads,
    )
    checkpoints = [load_checkpoint(path) for path in snakemake.input.checkpoints]
    networks = [network_at(name, settings, run.data, point) for point in checkpoints]
    if len(run.data.held_out_inputs) < wanted:
        raise UserError(
            f"figX3.examples is {wanted}, but {name} holds out {len(run.data.held_out_inputs)} "
            "examples; lower it"
        )
    inputs, targets = run.held_out(wanted)
    table = iterate_table(networks, run.loss, blocks(inputs, targets, block), log)
    write_hdf5(
        snakemake.output.table,
        table
        | {"epoch": [point.epoch for point in checkpoints], "block": block, "data": run.data.kind},
        run.provenance(),
    )
