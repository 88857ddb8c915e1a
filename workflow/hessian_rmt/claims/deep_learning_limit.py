"""Claims of `deep_learning_limit`: augmented data, drawn batches, spikes of noisy matrices.

Eigenvalues are outermost Ritz values of T, 10 T and 100 T examples or of drawn batches; each lies
within its residual of an eigenvalue. (18), with the corrected threshold, says of an eigenvalue
lambda of the full data where noise of mean square eigenvalue v puts a batch's,

    |lambda'| = |lambda| + v / |lambda|    if |lambda| > sqrt(v),    2 sqrt(v) otherwise.
"""

from collections.abc import Callable, Iterator, Sequence
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

STATISTICS = "statistics/deep_learning_limit"
SHRINKS = 1.05  # by a factor of at least that much
STABLE = 0.2  # of the first step's change, on a log scale
FACTOR = 2.0  # between measured and predicted shift
OVERPARAMETERISED = 20  # parameters per example
LADDER = (1, 10, 100)  # times T examples
CLOSE = 0.02  # of the edge


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
    return _along_ladders(evidence, "largest", _stabilises)


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
    return _along_ladders(evidence, "smallest", _shrinks)


@claim(
    "L3",
    statement="(17) and (18) predict the outermost eigenvalue of a spiked GOE matrix.",
    where="section 5",
    rule="Above the threshold (spike over sqrt(N/T) sigma of 1.5 or more) and below it (0.75 or "
    "less) the mean outermost eigenvalue of sampled matrices, of the largest order, is the "
    "prediction to 2 % of the bulk's edge; contradicted where it is not, not testable without "
    "spikes on both sides. The threshold is the corrected one, sqrt(N/T) sigma; how far the "
    "printed one, sigma, is off is reported.",
    figures=("figX1",),
)
def spiked_matrices(evidence: Evidence) -> Finding:
    table = evidence.one("ensembles/spiked_goe", "figX1 of deep_learning_limit")
    strength = known(table["strengths"], "a spike")
    mean = known(table["values"], "an eigenvalue")[:, -1].mean(axis=-1)
    edge = 2 * np.sqrt(known(table["ratios"], "a ratio"))[:, None]
    off, off_printed = (
        np.abs(mean - known(table[form], f"the {form} form")) / edge
        for form in ("corrected", "printed")
    )
    above, below = strength >= 1.5, strength <= 0.75
    if not above.any() or not below.any():
        raise Untestable("spikes on both sides of the threshold are needed")
    clear = off[:, above | below]
    measured = (
        f"deviation over edge at most {clear.max():.2g} in {clear.size} cases of order "
        f"{int(table['sizes'][-1])}, with the printed threshold {off_printed.max():.2g} at most; "
        f"corrected, near the threshold too, {off.max():.2g}."
    )
    thresholds = np.asarray(table["thresholds"])[:, -1] / np.sqrt(table["ratios"])[:, None]
    fitted = ", ".join(f"{fit:.3f} [{low:.3f}, {high:.3f}]" for fit, low, high in thresholds)
    return decide(
        bool(clear.max() <= CLOSE), measured, f"fitted thresholds over the corrected {fitted}"
    )


@claim(
    "L4",
    statement="Sub-sampling pushes the largest eigenvalue up and the smallest down, at every "
    "epoch.",
    where="section 6, figures 1 and 2",
    rule="At every epoch the means over drawn batches lie outside the full data's eigenvalues at "
    "both ends (true in expectation by convexity), and at more than half of the epochs, at "
    "either end, the shift is within a factor of two of what (18) makes of the full data's "
    "eigenvalue and the batches' measured noise. Contradicted otherwise.",
    figures=("fig2", "fig1"),
)
def sub_sampling(evidence: Evidence) -> Finding:
    wrong, words = [], []
    ratios: dict[str, list[float]] = {"largest": [], "smallest": []}
    cells = evidence.under(f"{STATISTICS}/draws/", "fig1 or fig2 of deep_learning_limit")
    for address, table in cells.items():
        cell = _named(evidence, address)
        for name, sign in (("largest", 1), ("smallest", -1)):
            full, mean, low, high, predicted = known(
                [table[f"{name}/{key}"] for key in ("full", "mean", "low", "high", "corrected")],
                f"the {name} eigenvalue",
            )
            ratios[name].append(float((mean - full) / (predicted - full)))
            if sign * (mean - full) <= 0:
                wrong.append(f"{cell} {name}")
            words.append(
                f"{cell} {name}: full {full:.3g}, batches {mean:.3g} [{low:.3g}, {high:.3g}], (18) "
                f"{predicted:.3g}"
            )
    shares = [
        float(np.mean([1 / FACTOR <= ratio <= FACTOR for ratio in own])) for own in ratios.values()
    ]
    measured = "shift over (18)'s shift: " + ", ".join(
        f"{name} {span(own, 2)}" for name, own in ratios.items()
    )
    measured += f" at {len(cells)} epochs of runs"
    if wrong:
        measured += f"; not outside: {', '.join(wrong)}"
    return decide(not wrong and min(shares) > 0.5, measured + ".", "; ".join(words))


@claim(
    "L5",
    statement="The smallest eigenvalue is less separated from the bulk with augmentation.",
    where="section 6.1, figures 3 to 6",
    rule="The gap between the two smallest Ritz values over the size of the smallest, for T and "
    "for 10 T examples of the same network: reproduced where it is smaller with 10 T for every "
    "network, contradicted where it is larger for one, not testable where residuals could change "
    "the answer.",
    figures=("fig4", "fig3", "fig6", "fig5", "table1"),
)
def less_separated(evidence: Evidence) -> Finding:
    holds, words, unsure = [], [], False
    for cell, table, (first, second, *_) in _ladders(evidence, LADDER[:2]):
        gap = known(np.asarray(table["smallest/gap"])[[first, second]], "a gap")
        error = known(np.asarray(table["smallest/gap_error"])[[first, second]], "a gap's error")
        words.append(f"{cell}: {gap[0]:.3g} ± {error[0]:.1g}, then {gap[1]:.3g} ± {error[1]:.1g}")
        unsure |= bool(abs(gap[1] - gap[0]) <= error.sum())
        holds.append(bool(gap[1] < gap[0]))
    measured = "relative gap for T and 10 T, " + "; ".join(words) + "."
    if unsure:
        raise Untestable(f"residuals leave it open: {measured}")
    return decide(all(holds), measured, "bounds by residuals after ±")


def _along_ladders(
    evidence: Evidence, end: str, test: Callable[[Sequence[float]], bool]
) -> Finding:
    """Whether `test` holds of one end's size for T, 10 T and 100 T examples, residuals or not."""
    holds: list[bool] = []
    words, unsure = [], False
    sign = 1 if end == "largest" else -1
    for cell, table, places in _ladders(evidence, LADDER):
        parameters, examples = int(table["parameters"]), int(table["examples"][places[0]])
        if parameters < OVERPARAMETERISED * examples:
            raise Untestable(
                f"{cell} has {parameters} parameters for {examples} examples, no 20 times as many"
            )
        values, residuals = (
            known(np.asarray(table[f"{end}/{key}"])[places], f"the {end} eigenvalue")
            for key in ("value", "residual")
        )
        bounds = [(sign * v - r, sign * v + r) for v, r in zip(values, residuals, strict=True)]
        answers = {test(within) for within in product(*bounds)}
        unsure |= len(answers) > 1
        holds += answers
        factors = values[:-1] / values[1:]
        listed = " / ".join(f"{v:.4g} ± {r:.1g}" for v, r in zip(values, residuals, strict=True))
        words.append(
            f"{cell}: {listed}, factors "
            + " and ".join(f"{f:.3g} ({_against_root_ten(f)})" for f in factors)
        )
    measured = "T / 10 T / 100 T, " + "; ".join(words) + "."
    if unsure:
        raise Untestable(f"residuals leave it open: {measured}")
    return decide(all(holds), measured, "residuals after ±")


def _against_root_ten(factor: float) -> str:
    return f"{'above' if factor > 10**0.5 else 'below'} sqrt 10"


def _stabilises(sizes: Sequence[float]) -> bool:
    if min(sizes) <= 0 or sizes[0] < SHRINKS * sizes[1]:
        return False
    first, second = np.log(sizes[0] / sizes[1]), np.log(sizes[1] / sizes[2])
    return bool(abs(second) <= STABLE * first)


def _shrinks(sizes: Sequence[float]) -> bool:
    return min(sizes) > 0 and sizes[0] >= SHRINKS * sizes[1] and sizes[1] >= SHRINKS * sizes[2]


def _ladders(
    evidence: Evidence, multiples: Sequence[int]
) -> Iterator[tuple[str, Table, list[int]]]:
    """Run and epoch, its table of augmented sets, and where `multiples` of T examples stand."""
    cells = evidence.under(f"{STATISTICS}/augmented/", "table1 of deep_learning_limit")
    for cell, table in cells.items():
        examples = np.asarray(table["examples"]).tolist()
        wanted = [multiple * examples[0] for multiple in multiples]
        if not set(wanted) <= set(examples):
            sizes = " and ".join(f"{multiple} T" for multiple in multiples)
            raise Untestable(f"{cell} has no spectra of {sizes} examples; see table1")
        yield _named(evidence, cell), table, [examples.index(each) for each in wanted]


def _named(evidence: Evidence, cell: str) -> str:
    """A cell, run and epoch, and whether its run stands in for the paper's, on all of CIFAR-100."""
    dataset = evidence.runs[cell.partition("/")[0]]["dataset"]
    own = dataset["name"] == "cifar100" and dataset.get("train_examples") is None
    return cell if own else f"{cell} (stand-in)"


CLAIMS = (largest_stabilises, smallest_shrinks, spiked_matrices, sub_sampling, less_separated)
