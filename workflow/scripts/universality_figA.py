"""`universality` figure A of one run: its whole Lanczos spectra, stems and smoothed."""

from hessian_rmt.figures.density import draw_whole_spectra
from hessian_rmt.jobs import job
from hessian_rmt.storage import read_hdf5

with job(snakemake.log[0]):
    tables = [read_hdf5(path) for path in snakemake.input.spectra]
    panels = list(zip(snakemake.params.labels, tables, strict=True))
    draw_whole_spectra(panels, dict(snakemake.output.items()))
