"""A run's features at a checkpoint, as a data set for other runs."""

from hessian_rmt.jobs import job
from hessian_rmt.networks.features import penultimate_features
from hessian_rmt.storage import write_hdf5
from hessian_rmt.trained import trained_run

name = snakemake.wildcards.run

with job(snakemake.log[0]) as log:
    run = trained_run(
        name,
        snakemake.params.settings,
        snakemake.params.data_folder,
        snakemake.input.checkpoint,
        snakemake.threads,
    )
    train = penultimate_features(run.network, run.data.train_inputs, log)
    held_out = penultimate_features(run.network, run.data.held_out_inputs, log)
    write_hdf5(
        snakemake.output.features,
        {
            "train_inputs": train,
            "train_targets": run.data.train_targets,
            "test_inputs": held_out,
            "test_targets": run.data.held_out_targets,
            "classes": run.data.classes,
            "data": f"{train.shape[1]} features of {name} at epoch {run.epoch}, {run.data.kind}",
        },
        run.provenance(),
    )
