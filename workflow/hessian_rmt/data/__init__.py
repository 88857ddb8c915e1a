"""Data sets: their files, where they come from, and their arrays."""

from typing import TYPE_CHECKING

from hessian_rmt._lazy import lazy_exports

if TYPE_CHECKING:
    from hessian_rmt.data.catalogue import files_of
    from hessian_rmt.data.loading import Dataset, load_dataset
    from hessian_rmt.data.sources import fetch

__all__ = ["Dataset", "fetch", "files_of", "load_dataset"]
__getattr__ = lazy_exports(
    __name__,
    {
        "catalogue": ("files_of",),
        "loading": ("Dataset", "load_dataset"),
        "sources": ("fetch",),
    },
)
