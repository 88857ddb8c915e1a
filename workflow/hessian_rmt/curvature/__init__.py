"""Curvature of the loss: Hessian products, eigenpairs, and whole spectra."""

from typing import TYPE_CHECKING

from hessian_rmt._lazy import lazy_exports

if TYPE_CHECKING:
    from hessian_rmt.curvature.exact import ExactSpectrum, exact_spectrum
    from hessian_rmt.curvature.hessian import HessianOperator
    from hessian_rmt.curvature.lanczos import Eigenpairs, top_eigenpairs
    from hessian_rmt.curvature.quadrature import SpectralQuadrature, lanczos_quadrature

__all__ = [
    "Eigenpairs",
    "ExactSpectrum",
    "HessianOperator",
    "SpectralQuadrature",
    "exact_spectrum",
    "lanczos_quadrature",
    "top_eigenpairs",
]
__getattr__ = lazy_exports(
    __name__,
    {
        "exact": ("ExactSpectrum", "exact_spectrum"),
        "hessian": ("HessianOperator",),
        "lanczos": ("Eigenpairs", "top_eigenpairs"),
        "quadrature": ("SpectralQuadrature", "lanczos_quadrature"),
    },
)
