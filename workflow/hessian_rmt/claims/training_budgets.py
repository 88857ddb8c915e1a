"""Rules of A7 and A8 (`applicability` 8): tail averages, and minima of trainings of any length."""

from itertools import product

import numpy as np

from hessian_rmt.claims.claim import (
    UNTESTABLE,
    Evidence,
    Finding,
    Table,
    Untestable,
    decide,
    known,
)

LEAST_R_SQUARED = 0.95
PREFERRED = 2.0  # AICc
LEVEL = 0.01
FEWEST_BUDGETS = 6


def tail_averages(evidence: Evidence) -> Finding:
    """The rule of A7."""
    table = evidence.one("statistics/applicability/fig7", "fig7 of applicability")
    prefix = "average_minus_reference/error"
    low, high = known(table[f"{prefix}/interval"], "the interval of the reduction")
    own = float(table["average_minus_own_iterate/error/mean"])
    measured = (
        f"held-out error of the average minus SGD's {100 * float(table[f'{prefix}/mean']):+.2f} "
        f"percentage points, {len(table[f'{prefix}/values'])} pairs; against the last iterate of "
        f"its own learning rate {100 * own:+.2f}. Data: {table['data']} "
        "(paper: WRN-101-2, ImageNet)."
    )
    interval = (
        f"[{100 * low:+.2f}, {100 * high:+.2f}] points; sign flips p = "
        f"{float(table[f'{prefix}/p_value']):.2g}"
    )
    if low <= 0 <= high:
        return Finding(UNTESTABLE, measured + " The interval holds 0.", interval)
    return decide(bool(high < 0), measured, interval)


def exponential_budgets(evidence: Evidence) -> Finding:
    """The rule of A8."""
    table = evidence.one("statistics/applicability/fig8", "fig8 of applicability")
    rejected, scattered, words, p_values = {}, {}, [], []
    for source, quantity in product(("published", "measured"), ("loss", "error")):
        r_squared, difference, p = _exponential(table, source, quantity)
        rejected[source, quantity] = difference < -PREFERRED and p <= LEVEL
        scattered[source, quantity] = r_squared < LEAST_R_SQUARED
        p_values.append(f"{p:.2g}")
        words.append(
            f"{source} {quantity}: R^2 {r_squared:.3f}, AICc of the power law minus the "
            f"exponential's {difference:+.1f}"
        )
        asymptote = float(table[f"{source}/{quantity}/epoch/exponential/parameters"][0])
        below = int(np.sum(np.asarray(table[f"{source}/minima/{quantity}"]) < asymptote))
        words[-1] += f", asymptote {asymptote:.4g} with {below} minima below it"
    measured = "; ".join(words) + f". Runs: {table['data']} (paper: ResNet-50, ImageNet)."
    evidence_text = f"exponential against power law, p = {', '.join(p_values)}"
    fails = {key for key in rejected if rejected[key] or scattered[key]}
    if any(source == "published" for source, _ in fails) or any(rejected.values()):
        return decide(False, measured, evidence_text)
    if len(np.unique(table["measured/minima/budget"])) < FEWEST_BUDGETS:
        raise Untestable(f"fewer than {FEWEST_BUDGETS} budgets; {measured}")
    if fails:
        return Finding(UNTESTABLE, measured + " The runs scatter too much.", evidence_text)
    return decide(True, measured, evidence_text)


def _exponential(table: Table, source: str, quantity: str) -> tuple[float, float, float]:
    """R^2, AICc of the power law minus the exponential's, and p of the exponential against it."""
    folder, y = (
        f"{source}/{quantity}/epoch",
        np.asarray(table[f"{source}/minima/{quantity}"], float),
    )
    rss = float(known(table[f"{folder}/exponential/rss"], "the fit's sum of squares"))
    r_squared = 1 - rss / float(np.sum((y - y.mean()) ** 2))
    difference, p = known(
        [table[f"{folder}/power/{name}"] for name in ("difference", "exponential_p_value")],
        "the comparison with a power law",
    )
    return r_squared, float(difference), float(p)
