"""Geometry of loss surfaces: laws of the Hessian at critical points and their index. No torch."""

from typing import TYPE_CHECKING

from hessian_rmt._lazy import lazy_exports

if TYPE_CHECKING:
    from hessian_rmt.geometry.critical_energy import critical_energy, index_prefactor
    from hessian_rmt.geometry.critical_points import CriticalPoints, find_critical_points
    from hessian_rmt.geometry.index import IndexCurve, index_by_integration, index_curve
    from hessian_rmt.geometry.laws import (
        gauss_newton_law,
        hessian_law,
        hessian_polynomial,
        residual_law,
    )
    from hessian_rmt.geometry.networks import Networks
    from hessian_rmt.geometry.sampling import sample_hessian

__all__ = [
    "CriticalPoints",
    "IndexCurve",
    "Networks",
    "critical_energy",
    "find_critical_points",
    "gauss_newton_law",
    "hessian_law",
    "hessian_polynomial",
    "index_by_integration",
    "index_curve",
    "index_prefactor",
    "residual_law",
    "sample_hessian",
]
__getattr__ = lazy_exports(
    __name__,
    {
        "critical_energy": ("critical_energy", "index_prefactor"),
        "critical_points": ("CriticalPoints", "find_critical_points"),
        "index": ("IndexCurve", "index_by_integration", "index_curve"),
        "laws": (
            "gauss_newton_law",
            "hessian_law",
            "hessian_polynomial",
            "residual_law",
        ),
        "sampling": ("sample_hessian",),
        "networks": ("Networks",),
    },
)
