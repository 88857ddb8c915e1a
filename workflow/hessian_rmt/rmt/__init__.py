"""Random-matrix laws and statistics of spectra. Nothing here imports torch."""

from typing import TYPE_CHECKING

from hessian_rmt._lazy import lazy_exports

if TYPE_CHECKING:
    from hessian_rmt.rmt.local_laws import (
        LocalLaw,
        bounded_poisson_ratio,
        bounded_ratio_surmise,
        goe_delta3,
        goe_number_variance,
        goe_spacing,
        poisson_ratio,
        poisson_spacing,
        ratio_surmise,
        wigner_surmise,
    )
    from hessian_rmt.rmt.local_tests import (
        Agreement,
        MeanRatio,
        RatioAgreement,
        goe_eigenvalues,
        matched_goe,
        mean_bounded_ratio,
        ratio_agreement,
        spacing_agreement,
    )
    from hessian_rmt.rmt.outlier_model import OutlierFit, fit_outliers, outlier_model
    from hessian_rmt.rmt.spacings import (
        Unfolding,
        count_ties,
        delta3,
        number_variance,
        smooth_staircase,
        spacing_ratios,
        unfold,
        unfold_smooth,
    )

__all__ = [
    "Agreement",
    "LocalLaw",
    "MeanRatio",
    "OutlierFit",
    "RatioAgreement",
    "Unfolding",
    "bounded_poisson_ratio",
    "bounded_ratio_surmise",
    "count_ties",
    "delta3",
    "fit_outliers",
    "goe_delta3",
    "goe_eigenvalues",
    "goe_number_variance",
    "goe_spacing",
    "matched_goe",
    "mean_bounded_ratio",
    "number_variance",
    "outlier_model",
    "poisson_ratio",
    "poisson_spacing",
    "ratio_agreement",
    "ratio_surmise",
    "smooth_staircase",
    "spacing_agreement",
    "spacing_ratios",
    "unfold",
    "unfold_smooth",
    "wigner_surmise",
]
__getattr__ = lazy_exports(
    __name__,
    {
        "local_laws": (
            "LocalLaw",
            "bounded_poisson_ratio",
            "bounded_ratio_surmise",
            "goe_delta3",
            "goe_number_variance",
            "goe_spacing",
            "poisson_ratio",
            "poisson_spacing",
            "ratio_surmise",
            "wigner_surmise",
        ),
        "local_tests": (
            "Agreement",
            "MeanRatio",
            "RatioAgreement",
            "goe_eigenvalues",
            "matched_goe",
            "mean_bounded_ratio",
            "ratio_agreement",
            "spacing_agreement",
        ),
        "outlier_model": ("OutlierFit", "fit_outliers", "outlier_model"),
        "spacings": (
            "Unfolding",
            "count_ties",
            "delta3",
            "number_variance",
            "smooth_staircase",
            "spacing_ratios",
            "unfold",
            "unfold_smooth",
        ),
    },
)
