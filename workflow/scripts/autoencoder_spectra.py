"""Spectra of H0 and H1 of ReLU autoencoders on whitened images: `geometry` figures 2 to 5."""

from hessian_rmt.data.loading import load_dataset
from hessian_rmt.geometry.autoencoders import (
    gauss_newton_spectra,
    residual_spectra,
    spectral_gaps,
    whitened,
)
from hessian_rmt.geometry.freeness import freeness_along_training
from hessian_rmt.jobs import job
from hessian_rmt.provenance import Stopwatch, provenance
from hessian_rmt.storage import write_hdf5

COMPUTE = {
    "fig2": freeness_along_training,
    "fig3": residual_spectra,
    "fig4": gauss_newton_spectra,
    "fig5": spectral_gaps,
}
settings, images = snakemake.params.settings, snakemake.params.images

with job(snakemake.log[0]):
    stopwatch = Stopwatch()
    data = load_dataset(images, snakemake.params.data_folder)
    statistics = COMPUTE[snakemake.wildcards.figure](whitened(data.train_inputs), **settings)
    write_hdf5(
        snakemake.output.statistics,
        statistics | {"data": data.kind},
        provenance(
            settings | images,
            inputs=snakemake.input.data,
            stopwatch=stopwatch,
            packages=("numpy", "scipy"),
        ),
    )
