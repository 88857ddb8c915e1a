"""Claims of `deep_learning_limit`: augmented data, drawn batches, spikes of noisy matrices.

Eigenvalues are the outermost Ritz values of `curvature.density`; one lies within its residual of an
eigenvalue. With v = tr E^2 / N for the noise E of a batch, (18) with the corrected threshold says

    |lambda'| = |lambda| + v / |lambda|    if |lambda| > sqrt(v),    2 sqrt(v) otherwise.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

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
)

LEVEL = 0.01
SHRINKS = 1.05  # by a factor of at least that much
STABLE = 0.2  # of the first step's change, on a log scale
FACTOR = 2.0  # between measured and predicted shift
OVERPARAMETERISED = 20  # parameters per example
AUGMENTED = ("full", "augmented-010", "augmented-100")


@dataclass(frozen=True)
class End:
    """An outermost Ritz value and its residual."""

    value: float
    residual: float


def ends(table: Table) -> tuple[End, End]:
    """The smallest and the largest Ritz value of a density file."""
    nodes = known(table["nodes"], "a Ritz value")
    residuals = np.asarray(table["residuals"], float)
    low, high = int(nodes.argmin()), int(nodes.argmax())
    return End(nodes[low], residuals[low]), End(nodes[high], residuals[high])


@claim(
    "L1",
    statement="The largest eigenvalue shrinks with augmentation, then stabilises.",
    where="section 6, table 1",
    rule="For every network with N >= 20 T: from T to 10 T examples the largest eigenvalue falls "
    "by a factor of 1.05 or more, and from 10 T to 100 T it changes, on a log scale, by at most "
    "a fifth of that. Contradicted where one does not; not testable where a size is missing or "
    "residuals could change the answer.",
    figures=("table1",),
)
def largest_stabilises(evidence: Evidence) -> Finding:
    return _along_ladders(evidence, largest=True, test=_stabilises)


@claim(
    "L2",
    statement="The smallest eigenvalue keeps shrinking with augmentation.",
    where="sections 6, 6.1, table 1",
    rule="For every network with N >= 20 T: |smallest eigenvalue| falls by a factor of 1.05 or "
    "more both from T to 10 T and from 10 T to 100 T. Contradicted where one does not; not "
    "testable where a size is missing or residuals could change the answer. The factors are "
    "reported beside sqrt(10), which (18) gives for a positive definite true Hessian and 6.1 "
    "says they stay below.",
    figures=("table1",),
)
def smallest_shrinks(evidence: Evidence) -> Finding:
    return _along_ladders(evidence, largest=False, test=_shrinks)


@claim(
    "L3",
    statement="(17) and (18) predict the outermost eigenvalue of a spiked GOE matrix.",
    where="section 5",
    rule="Above the threshold (spike over sqrt(N/T) sigma of 1.5 or more) and below it (0.75 or "
    "less) the mean outermost eigenvalue of sampled matrices, extrapolated in the order where "
    "that is given, is the prediction to 2 % of the bulk's edge. Contradicted where it is not. "
    "The threshold is the corrected one, sqrt(N/T) sigma; how far off the printed sigma is, is "
    "reported.",
    figures=("figX1",),
)
def spiked_matrices(evidence: Evidence) -> Finding:
    table = evidence.one("statistics/deep_learning_limit/figX1", "figX1 of deep_learning_limit")
    strength = known(table["strength"], "a spike")
    measured, corrected, printed = (
        known(table[name], name) for name in ("mean", "corrected", "printed")
    )
    edge = known(table["edge"], "the bulk's edge")[..., None]
    clear = (strength >= 1.5) | (strength <= 0.75)
    off = (np.abs(measured - corrected) / edge)[..., clear]
    off_printed = np.abs(measured - printed) / edge
    words = (
        f"largest deviation {off.max():.3g} of the edge in {off.size} cases; with the printed "
        f"threshold {off_printed.max():.3g}, at all strengths; corrected, near the threshold "
        f"{(np.abs(measured - corrected) / edge).max():.3g}."
    )
    return decide(bool(off.max() <= 0.02), words)


@claim(
    "L4",
    statement="Sub-sampling pushes the largest eigenvalue up and the smallest down, at every "
    "epoch.",
    where="section 6, figures 1 and 2",
    rule="At every epoch the means over drawn batches lie outside the full data's eigenvalues at "
    "both ends (true in expectation by convexity; an opposite mean of more than two standard "
    "errors contradicts), and at more than half of the epochs, at either end, the shift is "
    "within a factor of two of what (18) makes of the full data's eigenvalue and the batch's "
    "measured noise. Contradicted otherwise; not testable without the full data's spectrum.",
    figures=("fig2", "fig1"),
)
def sub_sampling(evidence: Evidence) -> Finding:
    ratios: dict[str, list[float]] = {"largest": [], "smallest": []}
    wrong, words = [], []
    for cell, full, draws in _sub_samples(evidence):
        variance = float(np.mean([noise_variance(draw) for draw in draws]))
        for index, name, sign in ((1, "largest", 1.0), (0, "smallest", -1.0)):
            whole = sign * ends(full)[index].value
            values = sign * np.array([ends(draw)[index].value for draw in draws])
            shift, error = values.mean() - whole, values.std(ddof=1) / np.sqrt(len(values))
            predicted = predicted_end(whole, variance) - whole
            ratios[name].append(shift / predicted)
            if shift < 0:
                wrong.append(f"{cell} {name}")
                if shift > -2 * error:
                    wrong[-1] += " (within two standard errors)"
            words.append(
                f"{cell} {name} {sign * shift:+.3g} ± {error:.1g}, (18) {sign * predicted:+.3g}"
            )
    if not words:
        raise Untestable(
            "no batches beside the full data's spectrum; config must name fig1 or fig2"
        )
    share = {
        name: float(np.mean([1 / FACTOR <= r <= FACTOR for r in own]))
        for name, own in ratios.items()
    }
    measured = (
        "; ".join(words)
        + ". Shift over (18)'s: "
        + ", ".join(f"{name} {span(own, 2)}" for name, own in ratios.items())
    )
    return decide(
        not wrong and min(share.values()) > 0.5, measured + ".", "standard errors after ±"
    )


@claim(
    "L5",
    statement="The smallest eigenvalue is less separated from the bulk with augmentation.",
    where="section 6.1, figures 3 to 6",
    rule="The gap between the two smallest Ritz values over the size of the smallest, for T and "
    "for 10 T examples of the same network: reproduced where it is smaller with 10 T for every "
    "network, contradicted where it is larger for one, not testable where residuals could change "
    "the answer.",
    figures=("fig4", "fig3", "fig6", "fig5"),
)
def less_separated(evidence: Evidence) -> Finding:
    holds, words = [], []
    cells = _cells(evidence, "fig3 to fig6, or table1, of deep_learning_limit")
    for cell, tables in cells.items():
        if "full" not in tables or "augmented-010" not in tables:
            continue
        (before, error_before), (after, error_after) = (
            separation(tables[sample]) for sample in ("full", "augmented-010")
        )
        words.append(
            f"{cell}: {before:.3g} ± {error_before:.1g}, then {after:.3g} ± {error_after:.1g}"
        )
        if abs(before - after) <= error_before + error_after:
            raise Untestable(f"residuals leave it open: {'; '.join(words)}")
        holds.append(after < before)
    if not holds:
        raise Untestable("no network has spectra of T and of 10 T examples")
    return decide(
        all(holds), "relative gap, " + "; ".join(words) + ".", "bounds by residuals after ±"
    )


def predicted_end(value: float, variance: float) -> float:
    """(18) with the corrected threshold, for an end `value` > 0 away from zero (or inside)."""
    if value <= np.sqrt(variance):
        return float(2 * np.sqrt(variance))
    return float(value + variance / value)


def noise_variance(table: Table) -> float:
    """v = tr E^2 / N of a drawn batch, from the quadrature of its halves' difference."""
    weights, nodes = (known(table[f"noise/{name}"], "the noise") for name in ("weights", "nodes"))
    return float(np.sum(weights * nodes**2) / np.sum(weights))


def separation(table: Table) -> tuple[float, float]:
    """(second smallest - smallest) / |smallest| of one probe, and a bound on its error."""
    first = np.asarray(table["probe"]) == 0
    nodes, residuals = (
        known(table[name], "a Ritz value")[first] for name in ("nodes", "residuals")
    )
    lowest = np.argsort(nodes)[:2]
    (a, b), (error_a, error_b) = nodes[lowest], residuals[lowest]
    return float((b - a) / abs(a)), float((error_a + error_b) / abs(a))


def _along_ladders(
    evidence: Evidence, *, largest: bool, test: Callable[[Sequence[float]], bool]
) -> Finding:
    """Whether `test` holds of one end's size for T, 10 T and 100 T examples, residuals or not."""
    holds: list[bool] = []
    words = []
    for cell, tables in _ladders(evidence):
        found = [ends(table)[int(largest)] for table in tables]
        sizes = [end.value if largest else -end.value for end in found]
        bounds = [
            (size - e.residual, size + e.residual) for size, e in zip(sizes, found, strict=True)
        ]
        answers = {test(within) for within in product(*bounds)}
        factors = ", ".join(
            f"{sizes[i] / sizes[i + 1]:.3g} ({_against_root_ten(sizes[i] / sizes[i + 1])})"
            for i in range(2)
        )
        values = " / ".join(f"{end.value:.4g} ± {end.residual:.1g}" for end in found)
        words.append(f"{cell}: {values}, factors {factors}")
        if len(answers) > 1:
            raise Untestable(f"residuals leave it open: {'; '.join(words)}")
        holds += answers
    return decide(all(holds), "T / 10 T / 100 T, " + "; ".join(words) + ".", "residuals after ±")


def _against_root_ten(factor: float) -> str:
    return f"{'above' if factor > 10**0.5 else 'below'} sqrt 10"


def _stabilises(sizes: Sequence[float]) -> bool:
    if min(sizes) <= 0 or sizes[0] < SHRINKS * sizes[1]:
        return False
    first, second = np.log(sizes[0] / sizes[1]), np.log(sizes[1] / sizes[2])
    return bool(abs(second) <= STABLE * first)


def _shrinks(sizes: Sequence[float]) -> bool:
    return min(sizes) > 0 and sizes[0] >= SHRINKS * sizes[1] and sizes[1] >= SHRINKS * sizes[2]


def _cells(evidence: Evidence, figures: str) -> dict[str, dict[str, Table]]:
    """Density files by "run/epoch" and sample."""
    found: dict[str, dict[str, Table]] = {}
    for address, table in evidence.under("density/", figures).items():
        cell, _, sample = address.rpartition("/")
        found.setdefault(cell, {})[sample] = table
    return found


def _ladders(evidence: Evidence) -> Iterator[tuple[str, list[Table]]]:
    """Cells with T, 10 T and 100 T examples."""
    cells = _cells(evidence, "table1 of deep_learning_limit")
    ladders = {
        cell: [tables[sample] for sample in AUGMENTED]
        for cell, tables in cells.items()
        if all(sample in tables for sample in AUGMENTED)
    }
    if not ladders:
        raise Untestable("no network has spectra of T, 10 T and 100 T examples; see table1")
    for cell, tables in ladders.items():
        parameters, examples = (int(tables[0][name]) for name in ("parameters", "examples"))
        if parameters < OVERPARAMETERISED * examples:
            raise Untestable(
                f"{cell} has {parameters} parameters for {examples} examples, no 20 times as many"
            )
        yield cell, tables


def _sub_samples(evidence: Evidence) -> Iterator[tuple[str, Table, list[Table]]]:
    for cell, tables in _cells(evidence, "fig1 or fig2 of deep_learning_limit").items():
        draws = [table for sample, table in tables.items() if sample.startswith("draw-")]
        if draws and "full" not in tables:
            raise Untestable(f"{cell} has no spectrum of the full data")
        if len(draws) >= 2:
            yield cell, tables["full"], draws


CLAIMS = (largest_stabilises, smallest_shrinks, spiked_matrices, sub_sampling, less_separated)
