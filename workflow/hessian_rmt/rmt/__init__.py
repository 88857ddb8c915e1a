"""Random-matrix laws and statistics of spectra. Nothing here imports torch."""

from typing import TYPE_CHECKING

from hessian_rmt._lazy import lazy_exports

if TYPE_CHECKING:
    from hessian_rmt.rmt.outlier_model import OutlierFit, fit_outliers, outlier_model

__all__ = ["OutlierFit", "fit_outliers", "outlier_model"]
__getattr__ = lazy_exports(
    __name__, {"outlier_model": ("OutlierFit", "fit_outliers", "outlier_model")}
)
