"""Claims of `universality` on outliers of batch Hessians and the form (2.33) fitted to them.

They are about the paper's three networks; no stand-in is judged.
"""

import numpy as np

from hessian_rmt.claims.agreement import (
    EXCELLENT,
    LONG_TRAINING,
    POOR,
    Fits,
    all_networks,
    networks,
)
from hessian_rmt.claims.claim import (
    UNTESTABLE,
    Evidence,
    Finding,
    Untestable,
    claim,
    decide,
    known,
    span,
    with_interval,
)

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
    "has not, not testable where one is missing or has a stand-in only.",
    figures=("fig1", "fig2", "fig3"),
)
def initial_fit(evidence: Evidence) -> Finding:
    found = networks(evidence, needed=ALL)
    for fits in found.values():
        if fits.epoch[0] != 0:
            raise Untestable(f"the outliers of {fits.run} are not measured at epoch 0")
    grades = {kind: fits.grades()[0] for kind, fits in found.items()}
    measured = "; ".join(f"{found[kind].quality(0)}: {grades[kind]}" for kind in ALL)
    return decide(all(each == EXCELLENT for each in grades.values()), measured + ".")


@claim(
    "U2",
    statement="Agreement with the outlier form orders the networks WRN > VGG > MLP.",
    where="section 2.4",
    rule="The median over epochs of the unexplained share 1 - R^2 is smallest for the WRN and "
    "largest for the MLP, each step by a factor of 1.2 or more; contradicted in any other case, "
    "not testable where one network is missing or has a stand-in only.",
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
    return decide(holds, measured + ".", "ranges over epochs in brackets")


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
    return decide(bool(poor[0]) and poor.mean() >= 0.5, measured)


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
            f"{kind}: {with_interval(alpha[0], interval[0])} at epoch {fits.epoch[0]}, "
            f"{with_interval(alpha[-1], interval[-1])} at epoch {fits.epoch[-1]}"
        )
    return decide(all(verdicts), "alpha of " + "; ".join(words) + ".", "95 % intervals")


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
    return decide(bool(np.mean(small) >= 0.75), measured)


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
    return decide(bool(np.mean(away) > 0.5 and all(changes)), measured, "95 % intervals")


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
    found = all_networks(evidence)
    if not found:
        raise Untestable("config names none of the paper's networks")
    holds, words, absent = [], [], [kind for kind in ALL if kind not in found]
    for kind, fits in found.items():
        rows = evidence.one(f"checkpoints/{fits.run}/training", "the run in a figure")["rows"]
        accuracy = float(known(float(rows[-1]["held_out_accuracy"]), "the accuracy"))
        words.append(f"{kind} {100 * accuracy:.1f} %{' (stand-in)' if fits.stand_in else ''}")
        if not fits.stand_in:
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
    return decide(bool(holds), measured + ".")


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
