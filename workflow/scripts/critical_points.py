"""Critical points of memorising networks: consecutive runs of one arm at one phi."""

import json
from pathlib import Path

from hessian_rmt.geometry.critical_grid import search_runs
from hessian_rmt.jobs import job
from hessian_rmt.provenance import Stopwatch, provenance
from hessian_rmt.storage import read_hdf5, read_provenance, write_hdf5

settings, wildcards = snakemake.params.settings, snakemake.wildcards
saved = Path(snakemake.params.state)
label = f"{wildcards.arm}, {int(wildcards.examples)} examples"
unit = json.dumps(dict(wildcards) | settings, sort_keys=True)

with job(snakemake.log[0]) as log:
    stopwatch = Stopwatch()

    def save(state):
        write_hdf5(saved, state, {"unit": unit})
        log.line(f"step {state['steps'].max()}: {(state['status'] == 0).sum()} runs in the batch")

    resumes = saved.exists() and read_provenance(saved).get("unit") == unit
    table = search_runs(
        wildcards.arm,
        int(wildcards.examples),
        range(int(wildcards.first), int(wildcards.last) + 1),
        settings,
        state=read_hdf5(saved) if resumes else None,
        on_state=save,
        track=lambda steps: log.progress(steps, label=label),
    )
    write_hdf5(
        snakemake.output.table,
        table | {"examples": int(wildcards.examples)},
        provenance(settings, stopwatch=stopwatch, packages=("numpy", "scipy")),
    )
    saved.unlink(missing_ok=True)
