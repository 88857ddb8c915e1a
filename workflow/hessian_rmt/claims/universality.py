"""Claims of `universality` on sums of matrices and on the noise of batch Hessians; all of them."""

from collections.abc import Iterator

import numpy as np

from hessian_rmt.claims.claim import (
    Evidence,
    Finding,
    Table,
    Untestable,
    claim,
    decide,
    known,
    span,
    with_interval,
)
from hessian_rmt.claims.free_sums import graph_sums, pair_sums
from hessian_rmt.claims.universality_outliers import (
    accuracies,
    bulk_of_true_hessian_is_small,
    degrades_and_recovers,
    exponent_changes,
    first_moment_grows,
    initial_fit,
    more_than_five_outliers,
    ordering,
    perceptron_disagrees,
)


@claim(
    "U8",
    statement="Free convolution describes sums of non-invariant ensembles.",
    where="theorem 3.4, section 3.3, figure 4",
    rule="A pair disagrees where the pooled bulk lies further than 0.02 (Kolmogorov) from the "
    "free convolution and single matrices lie further from it than sums rotated by Haar "
    "matrices, p <= 0.01 after Bonferroni. Reproduced where no pair disagrees and the control, "
    "two diagonal matrices, does; not testable where the control passes.",
    figures=("fig4",),
)
def sums_of_pairs(evidence: Evidence) -> Finding:
    return pair_sums(evidence.one("ensembles/pairs", "fig4 of universality"))


@claim(
    "U9",
    statement="Free convolution describes random regular graphs plus Wigner and Wishart matrices.",
    where="section 3.3, figure 5",
    rule="For every degree, the pooled bulks with uniform and with Gaussian entries lie within "
    "0.02 (Kolmogorov) of each other, or are no further apart than after exchanging matrices at "
    "random (p > 0.01), and the bulk with the GOE lies within 0.02 of Kesten-McKay boxplus "
    "semicircle. Contradicted otherwise; not testable if graph + GOE against graph + Wishart, "
    "the control, passes the same test.",
    figures=("fig5",),
)
def sums_with_graphs(evidence: Evidence) -> Finding:
    return graph_sums(evidence.one("ensembles/graphs", "fig5 of universality"))


@claim(
    "U10",
    statement="The complexity integral (4.17), of log|lambda| over the spectrum, is negative.",
    where="section 4.2",
    rule="On the signal subspace the integral's 95 % interval over batches (its value, for a "
    "full Hessian) lies below 0 in every row; contradicted where one lies above, not testable "
    "where one holds 0. (As printed it is minus infinity with an atom at 0, and its sign depends "
    "on the loss's unit: the scale of the loss that flips it and the invariant form are "
    "reported.)",
    figures=("tableX1",),
)
def complexity(evidence: Evidence) -> Finding:
    rows = evidence.one("tables/universality/tableX1", "tableX1 of universality")["rows"]
    value = np.array([float(row["printed_on_signal"]) for row in rows])
    high, low = (
        np.array([float(row[end]) if row[end] not in ("", "nan") else np.nan for row in rows])
        for end in ("high", "low")
    )
    known(value, "the integral")
    high, low = np.where(np.isnan(high), value, high), np.where(np.isnan(low), value, low)
    flips = [float(row["loss_scale_at_sign_flip"]) for row in rows]
    invariant = [
        float(row["invariant"]) + float(row["log_volume"]) for row in rows if row["invariant"] != ""
    ]
    measured = (
        f"integral on the signal {span(value)} in {len(rows)} rows; the sign flips when the loss "
        f"is multiplied by {span(flips)}."
    )
    if invariant:
        measured += f" Invariant form, with the volume of the weights: {span(invariant)}."
    if np.any((low <= 0) & (high >= 0)) and not np.any(low > 0):
        raise Untestable(f"{measured} An interval holds 0.")
    return decide(bool(np.all(high < 0)), measured, f"largest upper end {high.max():.3g}")


@claim(
    "U11",
    statement="The noise scales like s(b) = b^(-1/2).",
    where="section 2.7",
    rule="In every row the slope of the noise's operator norm against b, on log axes, is -1/2: "
    "its 95 % interval holds -1/2 or the slope is within 0.05 of it. Contradicted otherwise; not "
    "testable where an interval is wider than 0.4. (The Frobenius norm has this slope by "
    "independence alone and is no test; cumulants are reported against b^(-k/2), one law for all "
    "b, and b^(1-k), averaging.)",
    figures=("figX1",),
)
def batch_size_scaling(evidence: Evidence) -> Finding:
    holds, words = [], []
    for cell, table in _noise(evidence):
        slope, low, high = known(table["scaling/norm/slope"], "the slope of the norm")
        if high - low > 0.4:
            raise Untestable(f"the norm's slope in {cell} is only known to {low:.2f}..{high:.2f}")
        holds.append(low <= -0.5 <= high or abs(slope + 0.5) <= 0.05)
        words.append(f"{cell}: norm {with_interval(slope, (low, high))}")
        for k, name in ((3, "third"), (4, "fourth")):
            slope, low, high = table[f"scaling/{name}/slope"]
            if np.isfinite(slope):
                words[-1] += f", c_{k} {with_interval(slope, (low, high))}"
                one_law, averaged = low <= -k / 2 <= high, low <= 1 - k <= high
                words[-1] += f" (one law {'' if one_law else 'not '}inside"
                words[-1] += f", averaging {'' if averaged else 'not '}inside)"
    return decide(all(holds), "slopes in b, " + "; ".join(words) + ".", "95 % intervals")


@claim(
    "U12",
    statement="The noise matrix's eigenvectors are delocalised (quantum unique ergodicity).",
    where="(2.9), assumption 2.3",
    rule="In every row, for every kind of fixed direction (coordinates, gradient, outlier "
    "eigenvectors), the overlaps' distance from chi-squared is no larger than for Haar "
    "eigenvectors (p > 0.01), or below 0.05. Contradicted where one kind fails; not testable "
    "unless the controls do what they must: coordinates pass for the GOE (p > 0.01) and fail for "
    "a direct sum of blocks (p <= 0.01). A random direction passes for any matrix and does not "
    "count.",
    figures=("figX2",),
)
def delocalisation(evidence: Evidence) -> Finding:
    fails, words = 0, []
    for cell, table in _noise(evidence):
        of_controls = known(table["controls/isotropic/kind_p_value"], "a control's p-value")
        controls = dict(zip(table["controls/kind"], of_controls, strict=True))
        if controls["GOE"] <= 0.01 or controls["blocks"] > 0.01:
            raise Untestable(
                f"the controls of {cell} fail: GOE p = {controls['GOE']:.2g}, blocks p = "
                f"{controls['blocks']:.2g}"
            )
        columns = (
            table["directions/kind"],
            known(table["directions/isotropic/kind_distance"], "a distance"),
            known(table["directions/isotropic/kind_p_value"], "a p-value"),
            table["directions/profile/kind_p_value"],
        )
        for kind, distance, p, profile in zip(*columns, strict=True):
            if kind != "random":
                fails += bool(p <= 0.01 and distance >= 0.05)
                words.append(
                    f"{cell}, {kind}: distance {distance:.2f}, p = {p:.2g} "
                    f"(variance profile allowed: p = {profile:.2g})"
                )
    return decide(not fails, "; ".join(words) + ".", "p-values against Haar eigenvectors")


@claim(
    "U13",
    statement="Preconditioned gradients concentrate at the rate 1/(N delta) of (5.9).",
    where="section 5",
    rule="In every ensemble of random matrices the 95 % interval of the exponent of N in a fixed "
    "bilinear form's error lies at or below -1 (holds -1 or less); contradicted where one lies "
    "above -1. Not testable unless independent diagonal entries, the control, do not concentrate "
    "(interval holds 0, or above).",
    figures=("figX3",),
)
def concentration(evidence: Evidence) -> Finding:
    table = evidence.one("ensembles/concentration", "figX3 of universality")
    suffix = "/exponents/bilinear"
    found = {
        name.removesuffix(suffix): known(value, "an exponent")
        for name, value in table.items()
        if name.endswith(suffix)
    }
    control = found.pop("independent diagonal")[0]
    if control[2] < 0:
        raise Untestable(f"the control's form goes like N^{with_interval(control[0], control[1:])}")
    holds, words = [], []
    for name, exponents in found.items():
        (n, *of_n), (delta, *of_delta) = exponents
        holds.append(of_n[0] <= -1)
        words.append(f"{name}: N^{with_interval(n, of_n)} delta^{with_interval(delta, of_delta)}")
        trace, rigidity = table[f"{name}/exponents/trace"][0], table[f"{name}/exponents/rigidity"]
        words[-1] += f", trace N^{trace[0]:.2f}, rigidity N^{rigidity[0]:.2f}"
    return decide(all(holds), "; ".join(words) + ".", "95 % intervals")


def _noise(evidence: Evidence) -> Iterator[tuple[str, Table]]:
    figures = "figX1 or figX2 of universality"
    yield from evidence.under("statistics/universality/noise/", figures).items()


CLAIMS = (
    initial_fit,
    ordering,
    perceptron_disagrees,
    first_moment_grows,
    bulk_of_true_hessian_is_small,
    exponent_changes,
    accuracies,
    sums_of_pairs,
    sums_with_graphs,
    complexity,
    batch_size_scaling,
    delocalisation,
    concentration,
    degrades_and_recovers,
    more_than_five_outliers,
)
