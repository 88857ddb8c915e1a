"""A paper's claims, judged on the statistics of the figures that config asks for."""

import csv
import json
from pathlib import Path

from hessian_rmt.claims.verdicts import verdicts
from hessian_rmt.jobs import job
from hessian_rmt.storage import read_hdf5, write_bytes

paper, scale = snakemake.wildcards.paper, snakemake.wildcards.scale


def table(path):
    if path.endswith(".h5"):
        return read_hdf5(path)
    with open(path, newline="") as file:
        return {"rows": list(csv.DictReader(file))}


with job(snakemake.log[0]) as log:
    root = Path("results", scale)
    files = {
        str(Path(path).relative_to(root).with_suffix("")): table(path)
        for path in snakemake.input.evidence
    }
    rows = verdicts(paper, scale, files, snakemake.params.runs, snakemake.params.figures)
    for row in rows:
        log.line(f"{row['id']}: {row['verdict']}")
    text = json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
    write_bytes(snakemake.output.verdicts, text.encode())
