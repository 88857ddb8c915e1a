"""The verdicts of all papers in one table, for programs and for people."""

import json
from pathlib import Path

from hessian_rmt.claims.page import markdown_table
from hessian_rmt.claims.verdicts import COLUMNS
from hessian_rmt.jobs import job
from hessian_rmt.storage import write_bytes, write_csv

with job(snakemake.log[0]):
    rows = [row for path in snakemake.input.verdicts for row in json.loads(Path(path).read_text())]
    write_csv(snakemake.output.table, COLUMNS, [[row[name] for name in COLUMNS] for row in rows])
    write_bytes(snakemake.output.text, markdown_table(rows).encode())
