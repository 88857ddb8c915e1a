"""`applicability` theorem 8.1 on quadratics, and theorem 8.2's assumption on trained iterates."""

from hessian_rmt.generalisation.iterates import COLUMNS, iterate_statistics, summary_rows
from hessian_rmt.generalisation.quadratic import quadratic_statistics
from hessian_rmt.jobs import job
from hessian_rmt.provenance import Stopwatch, provenance
from hessian_rmt.seeds import derive_seed
from hessian_rmt.storage import read_hdf5, write_csv, write_hdf5

params = snakemake.params

with job(snakemake.log[0]):
    stopwatch = Stopwatch()
    statistics = quadratic_statistics(
        **params.quadratic, seed=derive_seed(params.seed, "quadratic")
    )
    arrays = {f"quadratic/{name}": value for name, value in statistics.items()}
    arms: dict[str, list] = {}
    for arm, path in zip(params.arms, snakemake.input.tables, strict=True):
        of_arm = arms.setdefault(arm, [])
        seed = derive_seed(params.seed, "iterates", arm, len(of_arm))
        of_run = iterate_statistics(read_hdf5(path), seed=seed)
        arrays |= {f"iterates/{arm}/{len(of_arm)}/{k}": v for k, v in of_run.items()}
        of_arm.append(of_run)
    write_hdf5(
        snakemake.output.statistics,
        arrays | {"data": params.data},
        provenance(
            params.quadratic | {"seed": params.seed},
            inputs=snakemake.input.tables,
            stopwatch=stopwatch,
            packages=("numpy", "scipy"),
        ),
    )
    write_csv(snakemake.output.table, COLUMNS, summary_rows(arms))
