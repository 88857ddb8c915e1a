"""The front page of a scale: every claim with its verdict, every figure with its numbers."""

import json
from pathlib import Path

from hessian_rmt.claims.page import front_page
from hessian_rmt.jobs import job
from hessian_rmt.storage import write_bytes

params = snakemake.params

with job(snakemake.log[0]):
    rows = [row for path in snakemake.input.verdicts for row in json.loads(Path(path).read_text())]
    template = Path(snakemake.input.template).read_text()
    page = front_page(template, snakemake.wildcards.scale, rows, params.shown, params.captions)
    write_bytes(snakemake.output.page, page.encode())
