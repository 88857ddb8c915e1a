"""Bring a data set's files into data/{dataset}, checked against the manifest."""

from pathlib import Path

from hessian_rmt.data.sources import fetch
from hessian_rmt.jobs import job

with job(snakemake.log[0]) as log:
    fetch(snakemake.params.dataset, Path(snakemake.params.folder), log)
