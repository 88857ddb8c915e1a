"""The index of ImageNet's local folder: split, label and path of every image."""

from pathlib import Path

from hessian_rmt.data.image_folder import index_rows
from hessian_rmt.jobs import job
from hessian_rmt.storage import write_csv

index = Path(snakemake.output.index)

with job(snakemake.log[0]):
    write_csv(index, ("split", "label", "path"), index_rows(index.parent))
