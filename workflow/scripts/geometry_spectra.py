"""`geometry` figures 2 to 5: spectra of H0 and H1."""

from hessian_rmt.figures.geometry_spectra import (
    draw_freeness,
    draw_gaps,
    draw_gauss_newton,
    draw_residual_spectra,
)
from hessian_rmt.jobs import job
from hessian_rmt.storage import read_hdf5

DRAW = {
    "geometry_fig2": draw_freeness,
    "geometry_fig3": draw_residual_spectra,
    "geometry_fig4": draw_gauss_newton,
    "geometry_fig5": draw_gaps,
}

with job(snakemake.log[0]):
    DRAW[snakemake.rule](read_hdf5(snakemake.input.statistics), dict(snakemake.output.items()))
