"""One table of where all results of a scale come from."""

from pathlib import Path

from hessian_rmt.jobs import job
from hessian_rmt.provenance_table import COLUMNS, provenance_row
from hessian_rmt.storage import read_provenance, sha256_of_file, write_csv

folder = Path(snakemake.params.folder)

with job(snakemake.log[0]):
    files = [
        path
        for path in sorted(folder.rglob("*.h5"))
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    rows = [
        provenance_row(str(path.relative_to(folder)), sha256_of_file(path), read_provenance(path))
        for path in files
    ]
    write_csv(snakemake.output.table, COLUMNS, rows)
