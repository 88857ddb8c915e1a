"""Number variance and Delta_3 against the GOE, for one run, epoch and split."""

from hessian_rmt.jobs import job
from hessian_rmt.provenance import Stopwatch, provenance
from hessian_rmt.rmt.rigidity_statistics import rigidity_statistics
from hessian_rmt.seeds import derive_seed
from hessian_rmt.storage import read_hdf5, write_hdf5

with job(snakemake.log[0]):
    stopwatch = Stopwatch()
    replicates, seed = snakemake.params.replicates, snakemake.params.seed
    reduced = [read_hdf5(path) for path in snakemake.input.reduced]
    statistics = rigidity_statistics(
        reduced,
        [read_hdf5(path) for path in snakemake.input.plain],
        replicates=replicates,
        seed=derive_seed(seed, "rigidity"),
    )
    write_hdf5(
        snakemake.output.statistics,
        statistics | {"data": reduced[0]["data"]},
        provenance(
            {"replicates": replicates, "seed": seed},
            inputs=[*snakemake.input.reduced, *snakemake.input.plain],
            stopwatch=stopwatch,
            packages=("numpy", "scipy"),
        ),
    )
