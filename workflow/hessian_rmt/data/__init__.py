"""Data sets: their files, where they come from, and their arrays."""

from hessian_rmt.data.catalogue import dataset_size, files_of
from hessian_rmt.data.loading import Dataset, load_dataset
from hessian_rmt.data.sources import fetch

__all__ = ["Dataset", "dataset_size", "fetch", "files_of", "load_dataset"]
