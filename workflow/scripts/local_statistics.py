"""Spacings, ratios and their tests against the GOE, for one run, epoch and split."""

from hessian_rmt.jobs import job
from hessian_rmt.provenance import Stopwatch, provenance
from hessian_rmt.rmt.local_statistics import SUMMARY_COLUMNS, local_statistics, summary_rows
from hessian_rmt.seeds import derive_seed
from hessian_rmt.storage import read_hdf5, write_csv, write_hdf5

run, epoch, part = (snakemake.wildcards[key] for key in ("run", "epoch", "part"))

with job(snakemake.log[0]):
    stopwatch = Stopwatch()
    replicates, seed = snakemake.params.replicates, snakemake.params.seed
    reduced = [read_hdf5(path) for path in snakemake.input.reduced]
    statistics = local_statistics(
        reduced,
        [read_hdf5(path) for path in snakemake.input.plain],
        [read_hdf5(path) for path in snakemake.input.full],
        replicates=replicates,
        seed=derive_seed(seed, "local_statistics"),
    )
    write_hdf5(
        snakemake.output.statistics,
        statistics | {"data": reduced[0]["data"]},
        provenance(
            {"replicates": replicates, "seed": seed},
            inputs=[*snakemake.input.reduced, *snakemake.input.plain, *snakemake.input.full],
            stopwatch=stopwatch,
            packages=("numpy", "scipy"),
        ),
    )
    write_csv(
        snakemake.output.table, SUMMARY_COLUMNS, summary_rows(run, int(epoch), part, statistics)
    )
