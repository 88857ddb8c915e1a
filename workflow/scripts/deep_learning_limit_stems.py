"""`deep_learning_limit` figures 3 to 6: stem plots of spectral densities."""

from hessian_rmt.figures.density import draw_stems
from hessian_rmt.jobs import job
from hessian_rmt.rmt.density_statistics import bulk_edges
from hessian_rmt.storage import read_hdf5

with job(snakemake.log[0]):
    tables = [read_hdf5(path) for path in snakemake.input.spectra]
    titles = [
        f"{row['label']}; epoch {row['epoch']}, {table['examples']:,} examples ({row['sample']})"
        for row, table in zip(snakemake.params.rows, tables, strict=True)
    ]
    panels = list(zip(titles, tables, strict=True))
    draw_stems(panels, [bulk_edges(table) for table in tables], dict(snakemake.output.items()))
