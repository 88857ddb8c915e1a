"""`applicability` figure 2: the Wigner surmise, and the exact spacing law of the GOE."""

from hessian_rmt.figures.applicability import draw_surmise
from hessian_rmt.jobs import job

with job(snakemake.log[0]):
    draw_surmise(dict(snakemake.output.items()))
