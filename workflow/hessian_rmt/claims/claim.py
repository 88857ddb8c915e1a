"""A claim of a paper, the rule that decides it, and what the rule finds.

A rule is written before its number is seen and stands beside the function that applies it. The
verdict is one of three: a claim whose data, sample or controls are missing is *not testable at this
scale*, never reproduced. A rule that compares with a law looks at calibrated p-values of several
cells, put together by Fisher's combination

    p = P(chi-squared_2n >= -2 sum log p_i),

and, since any deviation becomes significant with enough data, at its size.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import chi2

REPRODUCED, CONTRADICTED, UNTESTABLE = VERDICTS = (
    "reproduced",
    "contradicted",
    "not testable at this scale",
)
Table = Mapping[str, Any]


class Untestable(Exception):
    """Raised by a claim's function with the reason; becomes the verdict of that name."""


@dataclass(frozen=True)
class Finding:
    """The verdict, what was measured, in words, and its interval or p-value."""

    verdict: str
    measured: str
    evidence: str = ""


@dataclass(frozen=True)
class Evidence:
    """What a paper's claims are judged by.

    files: arrays (or, of a table, its `rows`) by address below ``results/{scale}/``, without the
    suffix; runs: settings of the runs behind them. Only what config's figures are made of is there.
    """

    files: Mapping[str, Table]
    runs: Mapping[str, Any]

    def one(self, address: str, figures: str) -> Table:
        """The file at `address`, which belongs to `figures`."""
        if address not in self.files:
            raise Untestable(
                f"no figure of this scale makes the numbers; config must name {figures}"
            )
        return self.files[address]

    def under(self, prefix: str, figures: str) -> dict[str, Table]:
        """All files whose address begins with `prefix`, by what follows it."""
        found = {
            address.removeprefix(prefix): table
            for address, table in sorted(self.files.items())
            if address.startswith(prefix)
        }
        if not found:
            raise Untestable(
                f"no figure of this scale makes the numbers; config must name {figures}"
            )
        return found


@dataclass(frozen=True)
class Claim:
    """One statement of a paper. figures: those that show it, the first one first."""

    id: str
    statement: str
    where: str
    rule: str
    figures: tuple[str, ...]
    judge: Callable[[Evidence], Finding]


def claim(
    name: str, *, statement: str, where: str, rule: str, figures: tuple[str, ...]
) -> Callable[[Callable[[Evidence], Finding]], Claim]:
    """Make a claim of the function that applies its rule."""
    return lambda judge: Claim(name, statement, where, rule, figures, judge)


def decide(holds: bool, measured: str, evidence: str = "") -> Finding:
    return Finding(REPRODUCED if holds else CONTRADICTED, measured, evidence)


def known(values: ArrayLike, what: str) -> np.ndarray:
    """`values` as an array of finite numbers; without them nothing can be judged."""
    array = np.asarray(values, float)
    if not array.size or not np.all(np.isfinite(array)):
        raise Untestable(f"{what} could not be computed from so few numbers")
    return array


def fisher(p_values: Iterable[float]) -> float:
    """Fisher's combination of independent p-values."""
    p = known(list(p_values), "a p-value")
    if p.size == 1:  # itself, without round-off: p-values of simulations lie on their levels
        return float(p[0])
    return float(chi2.sf(-2 * np.sum(np.log(np.maximum(p, 1e-300))), 2 * p.size))


def span(values: ArrayLike, digits: int = 3) -> str:
    """A range in words: one number, or lowest to highest."""
    array = np.asarray(values, float)
    low, high = (f"{value:.{digits}g}" for value in (array.min(), array.max()))
    return low if low == high else f"{low} to {high}"


def with_interval(value: float, interval: Sequence[float] | np.ndarray) -> str:
    return f"{value:.3g} [{interval[0]:.3g}, {interval[1]:.3g}]"
