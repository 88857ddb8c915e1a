"""Claims of `applicability` on local and global spectra; on generalisation: `training_budgets`."""

from collections.abc import Iterable, Iterator
from itertools import combinations

import numpy as np
from scipy.special import ndtr

from hessian_rmt.claims.claim import (
    Evidence,
    Finding,
    Table,
    Untestable,
    claim,
    decide,
    fisher,
    known,
    span,
)
from hessian_rmt.claims.training_budgets import exponential_budgets, tail_averages
from hessian_rmt.rmt.laws import Semicircle
from hessian_rmt.rmt.local_laws import GOE_BOUNDED_RATIO, POISSON_BOUNDED_RATIO
from hessian_rmt.rmt.local_statistics import ARMS, SIGNAL

LOCAL = "statistics/applicability/local/"
OF_LOCAL = "fig3, fig4 or figS of applicability"
LEVEL = 0.01
MARGIN = 0.01  # in the mean bounded ratio; from GOE to Poisson it is 0.144
FEWEST_RATIOS = 200
FAR = 0.05  # Kolmogorov's distance from any semicircle


@claim(
    "A1",
    statement="Unfolded spacings of Hessians follow the GOE.",
    where="section 6, figures 3a and 4a",
    rule="The signal arm decides: eigenvalues above the floor, against GOE spectra with each "
    "matrix's own density that went through the same unfolding. Fisher's combination of the "
    "p-values of all cells (run, epoch, split) is above 0.01; contradicted otherwise. Not "
    "testable where no cell has matrices enough to unfold, or where p-values of so few replicates, "
    "combined, cannot reach 0.01. The paper's cut and the round-off are reported.",
    figures=("fig4", "fig3", "figS"),
)
def spacings(evidence: Evidence) -> Finding:
    cells = evidence.under(LOCAL, OF_LOCAL)
    p = {
        arm: _finite(
            table.get(f"{arm}/matched_spacing_p_value", np.nan) for table in cells.values()
        )
        for arm in ARMS
    }
    if not p["signal"]:
        raise Untestable("no run has batches enough to unfold them by a pool; raise exact.batches")
    combined = fisher(p["signal"])
    if combined > LEVEL:  # one-sided, so half of what the two-sided p-values can reach
        _can_reject(
            table["signal/smallest_p_value"] / 2
            for table in cells.values()
            if np.isfinite(table.get("signal/matched_spacing_p_value", np.nan))
        )
    one_density = _finite(table.get("signal/spacing_p_value", np.nan) for table in cells.values())
    distance = _finite(table.get("signal/spacing_distance", np.nan) for table in cells.values())
    measured = (
        f"signal: {len(p['signal'])} cells, p {span(p['signal'], 2)} "
        f"(as if all batches had one density {span(one_density, 2)}), Kolmogorov's distance from "
        f"the GOE's law, unfolding included, {span(distance, 2)}"
    )
    for arm, words in (("cut", "the paper's cut"), ("round_off", "round-off alone")):
        measured += f"; {words}: " + (f"p {span(p[arm], 2)}" if p[arm] else "too few matrices")
    return decide(combined > LEVEL, measured + ".", f"combined p = {combined:.2g}")


@claim(
    "A2",
    statement="Consecutive spacing ratios of Hessians follow the GOE.",
    where="section 6, figures 3b and 4b",
    rule="The signal arms decide (batches, and the full data): contradicted where Fisher's "
    "combination of the cells' p-values of the mean bounded ratio is 0.01 or less and a cell "
    "with p <= 0.05 is further than 0.01 from the GOE's 0.5307 (independent levels: 0.386), or "
    "where a cell's 95 % interval does not exclude independent levels though it has 200 ratios "
    "or more. Reproduced otherwise; not testable without a cell of so many ratios, or where "
    "p-values of so few replicates, combined, cannot reach 0.01. The paper's cut and the "
    "round-off are reported, since agreement proves nothing while round-off agrees as well.",
    figures=("fig4", "fig3", "figS"),
)
def ratios(evidence: Evidence) -> Finding:
    cells = evidence.under(LOCAL, OF_LOCAL)
    tested = [
        (cell, table, arm)
        for cell, table in cells.items()
        for arm in ("signal", "full")
        if len(table.get(f"{arm}/ratios", ())) >= FEWEST_RATIOS
    ]
    if not tested:
        raise Untestable(f"no cell has {FEWEST_RATIOS} ratios on the signal")
    means = _arm_means(tested, "mean_bounded_ratio")
    p = _arm_means(tested, "mean_ratio_p_value")
    reach = _arm_means(tested, "low")
    combined = fisher(p)
    away = np.abs(means - GOE_BOUNDED_RATIO)
    off = (p <= 0.05) & (away > MARGIN)
    wrong = (combined <= LEVEL and np.any(off)) or np.any(reach <= POISSON_BOUNDED_RATIO)
    if not wrong:
        _can_reject(_arm_means(tested, "smallest_p_value"))
    measured = f"mean bounded ratio on the signal {span(means, 4)} in {len(tested)} cells"
    for arm, words in (("cut", "the paper's cut"), ("round_off", "round-off alone")):
        of_arm = _finite(table.get(f"{arm}/mean_bounded_ratio", np.nan) for table in cells.values())
        if of_arm:
            measured += f"; {words} {span(of_arm, 4)}"
    far = [
        f"{cell} {'full data' if arm == 'full' else 'batches'} {mean:.4f}"
        for (cell, _, arm), mean, is_off in zip(tested, means, off, strict=True)
        if is_off
    ]
    measured += f"; further away than {MARGIN:g} with p <= 0.05: {', '.join(far) or 'none'}"
    return decide(
        not wrong, measured + " (GOE 0.5307, Poisson 0.3863).", f"combined p = {combined:.2g}"
    )


@claim(
    "A3",
    statement="There is no difference between train and test, batch and full data, initial and "
    "trained networks.",
    where="section 6",
    rule="Mean bounded ratios on the signal, all pairs of cells of one run that differ in one of "
    "the three conditions alone; half a 95 % interval counts as two standard errors. "
    "Contradicted where a pair differs by more than 0.01 with p <= 0.01 after Bonferroni; not "
    "testable where a condition has no pair, or no pair that is known to 0.03.",
    figures=("figS",),
)
def conditions(evidence: Evidence) -> Finding:
    cells = evidence.under(LOCAL, "figS of applicability")
    pairs = list(_pairs(cells))
    words, worst, wrong = [], 1.0, []
    for condition in ("train and test", "batch and full", "initial and trained"):
        own = [(d, e, name) for kind, d, e, name in pairs if kind == condition]
        if not own or min(2 * e for _, e, _ in own) > 0.03:
            raise Untestable(f"no two cells of a run tell {condition} apart to 0.03")
        for d, e, name in own:
            p = min(1.0, 2 * float(ndtr(-abs(d) / max(e, 1e-300))) * len(pairs))
            worst = min(worst, p)
            if p <= LEVEL and abs(d) > MARGIN:
                wrong.append(f"{name} {d:+.4f}")
        words.append(f"{condition}: {span([d for d, _, _ in own], 2)} in {len(own)} pairs")
    measured = "differences of the mean bounded ratio, " + "; ".join(words) + "."
    if wrong:
        measured += f" Different: {', '.join(wrong)}."
    return decide(not wrong, measured, f"smallest p, Bonferroni: {worst:.2g}")


@claim(
    "A4",
    statement="The global spectral density is no semicircle.",
    where="section 3, figure 1",
    rule="In every network of figure 1 the signal eigenvalues of single batches lie further than "
    "0.05 (Kolmogorov, median over batches) from the semicircle of their mean and variance and "
    "from that of their median and quartiles; contradicted where one does not. Zeros are left "
    "out, which favours the semicircle.",
    figures=("fig1",),
)
def global_density(evidence: Evidence) -> Finding:
    distances: dict[str, list[float]] = {}
    for address, table in evidence.under("exact/", "fig1 of applicability").items():
        cell, _, name = address.rpartition("/")
        if name.startswith("batches-"):
            distances.setdefault(cell, []).extend(
                semicircle_distance(values[kind == SIGNAL])
                for values, kind in zip(table["eigenvalues"], table["kind"], strict=True)
            )
    if not distances:
        raise Untestable("no spectra of batches; config must name fig1 of applicability")
    median = {cell: float(np.median(known(each, "a distance"))) for cell, each in distances.items()}
    measured = "distance from the nearest semicircle: " + ", ".join(
        f"{cell} {value:.2f}" for cell, value in median.items()
    )
    spread = span([value for each in distances.values() for value in each], 2)
    return decide(min(median.values()) > FAR, measured + ".", f"single batches {spread}")


@claim(
    "A5",
    statement="Gaussian-process Hessians follow the GOE locally, whatever k'(0) and k''(0).",
    where="section 7, figure 6",
    rule="Over all cases the mean deviation of the mean bounded ratio from the GOE's, and the "
    "sum of squared deviations, are no more than chance: both p > 0.01. Contradicted otherwise; "
    "not testable unless independent levels, the control, are further than five standard errors "
    "away. (True by construction, so a test of the code.)",
    figures=("fig6", "fig5"),
)
def gaussian_processes(evidence: Evidence) -> Finding:
    table = evidence.one("ensembles/gaussian_process", "fig5 or fig6 of applicability")
    control = float(known(table["control/z_goe"], "the control's ratio"))
    if abs(control) <= 5:
        raise Untestable(f"the control is {control:.1f} standard errors away, no more than 5")
    p = known([table["agreement/mean_z_p_value"], table["agreement/p_value"]], "a p-value")
    measured = (
        f"{int(table['agreement/cases'])} cases, mean deviation "
        f"{float(table['agreement/mean_z']):+.2f} standard errors; control {control:+.0f}."
    )
    return decide(bool(p.min() > LEVEL), measured, f"p = {p[0]:.2g} and {p[1]:.2g}")


@claim(
    "A6",
    statement="A cut at 1e-20 keeps spectrum: what it omits, and nothing it keeps, is "
    "indistinguishable from zero.",
    where="section 6",
    rule="Of the eigenvalues beyond 1e-20 of plainly solved Hessians, at most 1 % are round-off "
    "on zeros that an exact reduction certifies, in every cell and by every eigensolver; "
    "contradicted where one has more.",
    figures=("tableX1", "figS", "fig4"),
)
def papers_cut(evidence: Evidence) -> Finding:
    shares: list[float] = []
    by_solver: dict[str, list[float]] = {}
    for address, table in evidence.files.items():
        if address.startswith(LOCAL) and "cut/round_off_share" in table:
            shares.append(float(table["cut/round_off_share"]))
        if address == "tables/applicability/tableX1":
            for row in table["rows"]:
                by_solver.setdefault(row["solver"], []).append(float(row["round_off_share"]))
    of_solvers = [share for own in by_solver.values() for share in own]
    if not shares + of_solvers:
        raise Untestable(f"no plain spectra; config must name {OF_LOCAL}, or tableX1")
    known(shares + of_solvers, "the share of round-off")
    words = [f"{span(100 * np.array(shares))} % in {len(shares)} cells"] if shares else []
    words += [f"{solver}: {span(100 * np.array(own))} %" for solver, own in by_solver.items()]
    return decide(max(shares + of_solvers) <= 0.01, "round-off kept: " + "; ".join(words) + ".")


@claim(
    "A7",
    statement="Tail averaging lowers the validation error.",
    where="section 8, figure 7",
    rule="The held-out error of the tail average minus that of SGD's last iterate after equally "
    "many epochs, paired by replicate: reproduced where its 95 % interval lies below 0, "
    "contradicted where it lies above, not testable where it holds 0.",
    figures=("fig7",),
)
def tail_averaging(evidence: Evidence) -> Finding:
    return tail_averages(evidence)


@claim(
    "A8",
    statement="The lowest validation loss and error fall exponentially with the budget.",
    where="section 8.1, figure 8",
    rule="a + b exp(c t), c < 0, fitted to the minima against the epoch where they are attained: "
    "R^2 >= 0.95, and not rejected in favour of the power law a + b t^c (AICc lower by more than "
    "2, and p <= 0.01 by data simulated from the exponential); loss and error, the paper's "
    "published minima and the runs here. Contradicted where a published curve fails either, or a "
    "curve of the runs here is rejected; not testable where the runs here have R^2 < 0.95 or "
    "fewer than six budgets.",
    figures=("fig8",),
)
def exponential_hardness(evidence: Evidence) -> Finding:
    return exponential_budgets(evidence)


@claim(
    "A9",
    statement="GOE ratios hold for a network too large for exact diagonalisation.",
    where="section 9 (named as future work)",
    rule="Certified outermost eigenvalues, both ends together, in every row: 200 ratios or more, "
    "and a 95 % interval of the mean bounded ratio that excludes independent levels. "
    "Contradicted where an interval does not, or where Fisher's combination of the rows' "
    "p-values is 0.01 or less and a row with p <= 0.05 is further than 0.01 from 0.5307. Not "
    "testable with fewer ratios, where p-values of so few replicates, combined, cannot reach "
    "0.01, or unless the control, Ritz values between the ends, is rejected (p <= 0.05).",
    figures=("figX2",),
)
def large_networks(evidence: Evidence) -> Finding:
    rows = evidence.under("statistics/applicability/extreme/", "figX2 of applicability")
    words = []
    for cell, table in rows.items():
        if int(table["both/count"]) < FEWEST_RATIOS:
            raise Untestable(f"{cell} has {int(table['both/count'])} ratios, not {FEWEST_RATIOS}")
        if not table.get("control/ratio_p_value", np.nan) <= 0.05:
            raise Untestable(
                f"the control of {cell}, Ritz values between the ends, is not rejected"
            )
        words.append(
            f"{cell}: {float(table['both/mean_bounded_ratio']):.4f} of "
            f"{int(table['both/count'])} ratios (control "
            f"{float(table['control/mean_bounded_ratio']):.3f})"
        )
    p, means, low, high = (
        known([table[f"both/{name}"] for table in rows.values()], name)
        for name in ("mean_ratio_p_value", "mean_bounded_ratio", "low", "high")
    )
    combined = fisher(p)
    off = (p <= 0.05) & (np.abs(means - GOE_BOUNDED_RATIO) > MARGIN)
    wrong = (combined <= LEVEL and off.any()) or np.any(low <= POISSON_BOUNDED_RATIO)
    if not wrong:
        _can_reject(table["both/smallest_p_value"] for table in rows.values())
    intervals = ", ".join(f"[{a:.3f}, {b:.3f}]" for a, b in zip(low, high, strict=True))
    return decide(
        not wrong,
        "mean bounded ratio " + "; ".join(words) + ".",
        f"{intervals}; p = {combined:.2g}",
    )


def _can_reject(smallest_p_values: Iterable[float]) -> None:
    """Raise Untestable where no data could have led to a combined p-value of `LEVEL`."""
    smallest = fisher(smallest_p_values)
    if smallest > LEVEL:
        raise Untestable(
            f"with so few replicates no p-value is below {smallest:.2g}; raise "
            "local_tests.replicates to 199"
        )


def semicircle_distance(values: np.ndarray) -> float:
    """Kolmogorov's distance of `values` (n,) from the nearer of two semicircles: that with their
    mean and variance, and that with their median and quartiles."""
    x = np.sort(np.asarray(values, float))
    low, median, high = np.quantile(x, [0.25, 0.5, 0.75])
    quartile = float(Semicircle(1.0).quantile(0.75))
    distances = []
    for centre, scale in ((x.mean(), x.std()), (median, (high - low) / 2 / quartile)):
        expected = Semicircle(1.0).cdf((x - centre) / max(scale, 1e-300))
        above = np.arange(1, len(x) + 1) / len(x) - expected
        distances.append(max(above.max(), (1 / len(x) - above).max()))
    return float(min(distances))


def _finite(values: Iterable[float]) -> list[float]:
    return [float(value) for value in values if np.isfinite(value)]


def _arm_means(tested: list[tuple[str, Table, str]], name: str) -> np.ndarray:
    return known([table[f"{arm}/{name}"] for _, table, arm in tested], name)


def _pairs(cells: dict[str, Table]) -> Iterator[tuple[str, float, float, str]]:
    """Condition, difference of mean bounded ratios, its standard error and name, pair by pair."""
    found = {}
    for cell, table in cells.items():
        run, epoch, part = cell.split("/")
        for arm in ("signal", "full"):
            if f"{arm}/ratios" in table:
                mean, low, high = known(
                    [table[f"{arm}/{name}"] for name in ("mean_bounded_ratio", "low", "high")],
                    f"the mean ratio of {cell}",
                ).tolist()
                found[run, epoch, part, arm] = (mean, (high - low) / 4)
    conditions = {1: "initial and trained", 2: "train and test", 3: "batch and full"}
    for (a, (mean_a, error_a)), (b, (mean_b, error_b)) in combinations(found.items(), 2):
        differing = [i for i in range(4) if a[i] != b[i]]
        if len(differing) == 1 and differing[0] in conditions:
            kind = conditions[differing[0]]
            shared = " ".join(part for i, part in enumerate(a) if i != differing[0])
            names = f"{shared}, {b[differing[0]]} less {a[differing[0]]}:"
            yield kind, mean_b - mean_a, float(np.hypot(error_a, error_b)), names


CLAIMS = (
    spacings,
    ratios,
    conditions,
    global_density,
    gaussian_processes,
    papers_cut,
    tail_averaging,
    exponential_hardness,
    large_networks,
)
