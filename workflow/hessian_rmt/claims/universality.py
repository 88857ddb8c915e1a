"""Claims of `universality` on batch Hessians' outliers and noise; sums of matrices: `free_sums`."""

from collections.abc import Iterator

import numpy as np

from hessian_rmt.claims.agreement import (
    EXCELLENT,
    LONG_TRAINING,
    POOR,
    Fits,
    is_papers_own,
    networks,
    stand_ins,
)
from hessian_rmt.claims.claim import (
    UNTESTABLE,
    Evidence,
    Finding,
    Table,
    Untestable,
    claim,
    decide,
    known,
    span,
)
from hessian_rmt.claims.free_sums import graph_sums, pair_sums

ALL = ("MLP", "VGG", "WRN")
ACCURACY = {"MLP": 0.95, "VGG": 0.75, "WRN": 0.80}
ROOM = 0.02  # about a quoted accuracy
SMALL = 0.1  # of what it is small beside
OUTLIER_DEVIATIONS, PAPERS_OUTLIERS, CLEARLY = 5.0, 5, 10


@claim(
    "U1",
    statement="The outlier form (2.33) fits excellently at epoch 0 for all three networks.",
    where="section 2.4",
    rule="At epoch 0 the fits of MLP, VGG and WRN all have R^2 >= 0.95 about each outlier's own "
    "mean over batch sizes and a relative error of at most 5 %; contradicted where one of them "
    "has not, not testable where one is missing.",
    figures=("fig1", "fig2", "fig3"),
)
def initial_fit(evidence: Evidence) -> Finding:
    found = networks(evidence, needed=ALL)
    for fits in found.values():
        if fits.epoch[0] != 0:
            raise Untestable(f"the outliers of {fits.run} are not measured at epoch 0")
    grades = {kind: fits.grades()[0] for kind, fits in found.items()}
    measured = "; ".join(f"{found[kind].quality(0)}: {grades[kind]}" for kind in ALL)
    return decide(
        all(each == EXCELLENT for each in grades.values()), measured + "." + stand_ins(found)
    )


@claim(
    "U2",
    statement="Agreement with the outlier form orders the networks WRN > VGG > MLP.",
    where="section 2.4",
    rule="The median over epochs of the unexplained share 1 - R^2 is smallest for the WRN and "
    "largest for the MLP, each step by a factor of 1.2 or more; contradicted in any other case, "
    "not testable where one network is missing.",
    figures=("fig3", "fig1", "fig2"),
)
def ordering(evidence: Evidence) -> Finding:
    found = networks(evidence, needed=ALL)
    shares = {kind: 1 - known(found[kind]["r_squared"], "R^2 of the fit") for kind in ALL}
    median = {kind: float(np.median(share)) for kind, share in shares.items()}
    measured = "median 1 - R^2 over epochs: " + ", ".join(
        f"{kind} {median[kind]:.3g} ({span(shares[kind], 2)})" for kind in reversed(ALL)
    )
    holds = 1.2 * median["WRN"] <= median["VGG"] and 1.2 * median["VGG"] <= median["MLP"]
    return decide(holds, measured + "." + stand_ins(found), "ranges over epochs in brackets")


@claim(
    "U3",
    statement="The MLP disagrees with the outlier form from epoch 1 on.",
    where="section 2.4, figure 2",
    rule="The MLP's fit is poor (R^2 < 0.80 or relative error > 10 %) at epoch 1 and at half or "
    "more of all epochs from 1 on; contradicted otherwise. The best fit counts; the paper's "
    "procedure (Adam) is reported beside it.",
    figures=("fig2", "fig3"),
)
def perceptron_disagrees(evidence: Evidence) -> Finding:
    fits = networks(evidence, needed=("MLP",))["MLP"]
    if 1 not in fits.epoch:
        raise Untestable(f"the outliers of {fits.run} are not measured at epoch 1")
    first = int(np.flatnonzero(fits.epoch == 1)[0])
    poor = np.array(fits.grades())[first:] == POOR
    by_adam = np.array(fits.grades("adam"))[first:] == POOR
    measured = (
        f"{fits.quality(first)}; poor at {poor.sum()} of {poor.size} epochs from 1 on "
        f"(by the paper's procedure {by_adam.sum()}); R^2 {span(fits['r_squared'][first:])}, error "
        f"{span(100 * fits['relative_rmse'][first:], 2)} %."
    )
    return decide(bool(poor[0]) and poor.mean() >= 0.5, measured + stand_ins({"MLP": fits}))


@claim(
    "U4",
    statement="alpha, the first moment of the noise, starts near 0 and grows with training.",
    where="section 2.4, figure 3b",
    rule="For every network whose fit at its last epoch is not poor: the 95 % interval of alpha "
    "at epoch 0 reaches below a tenth of the largest |alpha| of the run, and the interval at the "
    "last epoch lies above it. Contradicted where one such network does otherwise; not testable "
    "without one. (In truth alpha is 0, since the model's A is the mean of the batch Hessians.)",
    figures=("fig3",),
)
def first_moment_grows(evidence: Evidence) -> Finding:
    found = _interpretable(networks(evidence))
    verdicts, words = [], []
    for kind, fits in found.items():
        alpha, interval = fits["alpha"], known(fits.interval("alpha"), "an interval of alpha")
        near = np.abs(interval[0]).min() <= SMALL * np.abs(alpha).max() or (
            interval[0, 0] <= 0 <= interval[0, 1]
        )
        verdicts.append(near and interval[-1, 0] > interval[0, 1])
        words.append(
            f"{kind}: {_with_interval(alpha[0], interval[0])} at epoch {fits.epoch[0]}, "
            f"{_with_interval(alpha[-1], interval[-1])} at epoch {fits.epoch[-1]}"
        )
    return decide(
        all(verdicts), "alpha of " + "; ".join(words) + "." + stand_ins(found), "95 % intervals"
    )


@claim(
    "U5",
    statement="epsilon times the first moment of eta (gamma) stays small beside alpha and beta.",
    where="section 2.4, figure 3",
    rule="Of all epochs with a fit that is not poor, |gamma| is at most a tenth of the larger of "
    "|alpha| and sqrt(beta), which have its unit, at three quarters or more; contradicted "
    "otherwise. Epochs with beta = 0, where gamma is not defined, are left out.",
    figures=("fig3",),
)
def bulk_of_true_hessian_is_small(evidence: Evidence) -> Finding:
    found = networks(evidence)
    small, words = [], []
    for kind, fits in found.items():
        scale = np.maximum(np.abs(fits["alpha"]), np.sqrt(np.maximum(fits["beta"], 0)))
        gamma = np.abs(fits["gamma"])
        kept = (np.array(fits.grades()) != POOR) & np.isfinite(gamma) & (scale > 0)
        ratio = gamma[kept] / scale[kept]
        small += (ratio <= SMALL).tolist()
        if ratio.size:
            words.append(f"{kind} {span(ratio, 2)} at {ratio.size} epochs")
    if not small:
        raise Untestable("no epoch has a fit that is not poor, with beta above 0")
    measured = "|gamma| / max(|alpha|, sqrt(beta)): " + ", ".join(words)
    measured += f"; small at {sum(small)} of {len(small)}."
    return decide(bool(np.mean(small) >= 0.75), measured + stand_ins(found))


@claim(
    "U6",
    statement="The best exponent is generally not 1/2 and changes during training.",
    where="section 2.4, figure 3",
    rule="Over networks and epochs with a fit that is not poor, 1/2 lies outside the 95 % "
    "interval of the exponent at more than half, and in every network with two such epochs some "
    "two of the intervals, made wider by half, do not meet. Contradicted otherwise.",
    figures=("fig3",),
)
def exponent_changes(evidence: Evidence) -> Finding:
    found = networks(evidence)
    away, changes, words = [], [], []
    for kind, fits in found.items():
        kept = np.array(fits.grades()) != POOR
        interval = fits.interval("exponent")[kept]
        if not kept.any():
            continue
        known(interval, "an interval of the exponent")
        away += ((interval[:, 0] > 0.5) | (interval[:, 1] < 0.5)).tolist()
        margin = (interval[:, 1] - interval[:, 0]) / 4
        if len(interval) > 1:
            changes.append(np.max(interval[:, 0] - margin) > np.min(interval[:, 1] + margin))
        words.append(f"{kind} {span(fits['exponent'][kept])} at {kept.sum()} epochs")
    if not changes:
        raise Untestable("no network has two epochs with a fit that is not poor")
    measured = (
        f"exponent of {'; '.join(words)}; 1/2 outside the interval at {sum(away)} of {len(away)}; "
        f"{sum(changes)} of {len(changes)} networks change."
    )
    return decide(
        bool(np.mean(away) > 0.5 and all(changes)), measured + stand_ins(found), "95 % intervals"
    )


@claim(
    "U7",
    statement="Test accuracies near 95 % (MLP), 75 % (VGG16) and 80 % (WRN).",
    where="section 2.4",
    rule="Each network as the paper has it (architecture, data set, epochs) ends within two "
    "percentage points of the quoted accuracy, or above it; contradicted where one does not. "
    "With stand-ins for one of them the claim is not testable, unless another contradicts it.",
    figures=("fig1", "fig2"),
)
def accuracies(evidence: Evidence) -> Finding:
    found = networks(evidence)
    holds, words, absent = [], [], [kind for kind in ALL if kind not in found]
    for kind, fits in found.items():
        rows = evidence.one(f"checkpoints/{fits.run}/training", "the run in a figure")["rows"]
        accuracy = float(known(float(rows[-1]["held_out_accuracy"]), "the accuracy"))
        own = is_papers_own(evidence.runs[fits.run])
        words.append(f"{kind} {100 * accuracy:.1f} %{'' if own else ' (stand-in)'}")
        if own:
            holds.append(accuracy >= ACCURACY[kind] - ROOM)
        else:
            absent.append(kind)
    measured = "held-out accuracy: " + ", ".join(words) + "."
    if absent and all(holds):
        what = " and ".join(absent)
        why = f" {what} cannot be tested without the paper's data and {LONG_TRAINING} epochs."
        return Finding(UNTESTABLE, measured + why)
    return decide(all(holds), measured)


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
        words.append(f"{cell}: norm {_with_interval(slope, (low, high))}")
        for k, name in ((3, "third"), (4, "fourth")):
            slope, low, high = table[f"scaling/{name}/slope"]
            if np.isfinite(slope):
                words[-1] += f", c_{k} {_with_interval(slope, (low, high))}"
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
        raise Untestable(
            f"the control's form goes like N^{_with_interval(control[0], control[1:])}"
        )
    holds, words = [], []
    for name, exponents in found.items():
        (n, *of_n), (delta, *of_delta) = exponents
        holds.append(of_n[0] <= -1)
        words.append(f"{name}: N^{_with_interval(n, of_n)} delta^{_with_interval(delta, of_delta)}")
        trace, rigidity = table[f"{name}/exponents/trace"][0], table[f"{name}/exponents/rigidity"]
        words[-1] += f", trace N^{trace[0]:.2f}, rigidity N^{rigidity[0]:.2f}"
    return decide(all(holds), "; ".join(words) + ".", "95 % intervals")


@claim(
    "U14",
    statement="The ResNet's agreement degrades by epoch 25 and recovers towards the end; the "
    "VGG's fails at epoch 300.",
    where="section 2.4, figures 1 and 2",
    rule=f"Only on runs of {LONG_TRAINING} epochs or more. WRN: R^2 at epoch 25 below that at "
    "epoch 0 and below that at the last epoch, and the last fit not poor; VGG: the last fit poor. "
    "Contradicted where one of the two does otherwise.",
    figures=("fig1", "fig2", "fig3"),
)
def degrades_and_recovers(evidence: Evidence) -> Finding:
    found = networks(evidence, needed=("VGG", "WRN"))
    for kind in ("VGG", "WRN"):
        epochs = evidence.runs[found[kind].run]["training"]["epochs"]
        if epochs < LONG_TRAINING:
            raise Untestable(
                f"the claim names epochs 25 and {LONG_TRAINING}; {found[kind].run} trains for "
                f"{epochs} epochs, whose ends are not those of {LONG_TRAINING}"
            )
    wrn, vgg = found["WRN"], found["VGG"]
    if 25 not in wrn.epoch:
        raise Untestable(f"the outliers of {wrn.run} are not measured at epoch 25")
    middle = int(np.flatnonzero(wrn.epoch == 25)[0])
    r_squared = known(wrn["r_squared"], "R^2 of the fit")
    holds = (
        r_squared[middle] < min(r_squared[0], r_squared[-1])
        and wrn.grades()[-1] != POOR
        and vgg.grades()[-1] == POOR
    )
    measured = "; ".join([*(wrn.quality(at) for at in (0, middle, -1)), vgg.quality(-1)])
    return decide(bool(holds), measured + "." + stand_ins(found))


@claim(
    "U15",
    statement="Clearly more than five outliers are present.",
    where="remark 2.2, appendix",
    rule="From the largest Ritz value downwards, an outlier is a converged one (residual below a "
    f"tenth of the gap to the next) of at least {OUTLIER_DEVIATIONS:g} times the root mean square "
    f"of the spectral measure below it. In every spectrum there are {CLEARLY} or more; "
    f"contradicted where there are {PAPERS_OUTLIERS} or fewer, not testable in between or where "
    "convergence ends the count.",
    figures=("figA",),
)
def more_than_five_outliers(evidence: Evidence) -> Finding:
    spectra = evidence.under("density/", "figA of universality")
    counts, ended = {}, []
    for cell, table in spectra.items():
        first = np.asarray(table["probe"]) == 0
        columns = (
            known(table[name], "a Ritz value")[first] for name in ("nodes", "weights", "residuals")
        )
        counts[cell], unresolved = count_outliers(*columns)
        if unresolved:
            ended.append(cell)
    measured = "; ".join(
        f"{cell}: {count}{' or more' if cell in ended else ''}" for cell, count in counts.items()
    )
    least = min(counts.values())
    if least < CLEARLY and (least > PAPERS_OUTLIERS or ended):
        raise Untestable(f"outliers that can be told apart: {measured}")
    return decide(least >= CLEARLY, f"outliers: {measured}.")


def count_outliers(
    nodes: np.ndarray, weights: np.ndarray, residuals: np.ndarray
) -> tuple[int, bool]:
    """Outliers at the top of a quadrature (m,), and whether convergence ended the count."""
    order = np.argsort(-np.asarray(nodes))
    x, w, r = (np.asarray(values, float)[order] for values in (nodes, weights, residuals))
    for i in range(len(x) - 1):
        rest = np.sqrt(np.sum(w[i + 1 :] * x[i + 1 :] ** 2) / np.sum(w[i + 1 :]))
        if x[i] < OUTLIER_DEVIATIONS * rest:
            return i, False
        if r[i] > 0.1 * (x[i] - x[i + 1]):
            return i, True
    return len(x) - 1, True


def _interpretable(found: dict[str, Fits]) -> dict[str, Fits]:
    """Networks whose fit at the last epoch is not poor: the paper interprets no others."""
    kept = {kind: fits for kind, fits in found.items() if fits.grades()[-1] != POOR}
    if not kept:
        raise Untestable("no network's fit at its last epoch is better than poor")
    return kept


def _noise(evidence: Evidence) -> Iterator[tuple[str, Table]]:
    figures = "figX1 or figX2 of universality"
    yield from evidence.under("statistics/universality/noise/", figures).items()


def _with_interval(value: float, interval: tuple[float, float] | list[float] | np.ndarray) -> str:
    return f"{value:.3g} [{interval[0]:.3g}, {interval[1]:.3g}]"


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
