"""Curvature of the loss: Hessian products and eigenpairs."""

from typing import TYPE_CHECKING

from hessian_rmt._lazy import lazy_exports

if TYPE_CHECKING:
    from hessian_rmt.curvature.hessian import HessianOperator
    from hessian_rmt.curvature.lanczos import Eigenpairs, top_eigenpairs

__all__ = ["Eigenpairs", "HessianOperator", "top_eigenpairs"]
__getattr__ = lazy_exports(
    __name__, {"hessian": ("HessianOperator",), "lanczos": ("Eigenpairs", "top_eigenpairs")}
)
