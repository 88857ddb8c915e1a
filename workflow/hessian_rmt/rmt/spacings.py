"""Unfolded spectra, their spacings, spacing ratios, number variance and rigidity.

Unfolded levels l_i = N(lambda_i) have mean spacing one if N is the mean number of eigenvalues below
lambda (`applicability` (6), (7)). With a pool of m spectra, (10) with the factor P that it lacks,

    N(lambda) = (1/m) #{pooled eigenvalues < lambda},

and spacings come in multiples of 1/m. Without other matrices N is a smooth curve through the
spectrum's own staircase. Ratios need no unfolding, (11) with the index that exists:

    r_i = (lambda_i - lambda_(i-1)) / (lambda_(i-1) - lambda_(i-2)),  i = 3, ..., P.

For a window of length L with n(x) levels in (x, x + L), Sigma^2(L) = <n^2> - <n>^2, and Delta_3(L)
is the mean square distance of the staircase n(t) from the best line, averaged over windows. With
f(t) = n(t) - t and moments M_k = int f (t - centre)^k dt over the window it is

    Delta_3 = int f^2 / L - M_0^2 / L^2 - 12 M_1^2 / L^4.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator

from hessian_rmt.errors import UserError

Array = NDArray[np.float64]
_Curve = Callable[[Array], Array]

SMALLEST_BLOCK = 8  # eigenvalues averaged for the outermost knots of a smooth staircase


@dataclass(frozen=True)
class Unfolding:
    """Spectra unfolded by the pooled spectra of others, see `unfold`.

    levels: the unfolded spectra, ascending, one array for each index in `held`. pool and held:
    indices into the spectra given. step: 1 / len(pool), the unit of all levels and spacings.
    """

    levels: tuple[Array, ...]
    pool: tuple[int, ...]
    held: tuple[int, ...]
    step: float

    @property
    def spacings(self) -> Array:
        """All spacings, matrix after matrix."""
        return np.concatenate([np.diff(levels) for levels in self.levels])

    @property
    def matrices(self) -> NDArray[np.int64]:
        """The index of the matrix that each spacing comes from."""
        return np.repeat(self.held, [len(levels) - 1 for levels in self.levels])


def unfold(
    spectra: Sequence[ArrayLike], *, pool_fraction: float = 2 / 3, seed: int = 0
) -> Unfolding:
    """Unfold a random part of `spectra` (1-D arrays, lengths may differ) by the pool of the others.

    The pool holds round(pool_fraction m) of the m spectra, at least one and at most m - 1. The
    result is the same for every increasing map of the eigenvalues. Where the matrices have unequal
    numbers of eigenvalues, the unit is the mean spacing of the pool.

    Raises UserError for fewer than two spectra, for fewer than two eigenvalues in one of them, and
    for values that are not finite; ValueError for a pool_fraction outside (0, 1).
    """
    if not 0 < pool_fraction < 1:
        raise ValueError(f"pool_fraction is {pool_fraction}, not between 0 and 1")
    ordered = sorted_spectra(spectra, at_least=2)
    if len(ordered) < 2:
        raise UserError(
            "unfolding by a pool needs the spectra of two matrices or more, not one; "
            "compute more batches, or unfold the single matrix smoothly"
        )
    n_pool = min(max(round(pool_fraction * len(ordered)), 1), len(ordered) - 1)
    shuffled = np.random.default_rng(seed).permutation(len(ordered)).tolist()
    pool, held = sorted(shuffled[:n_pool]), sorted(shuffled[n_pool:])
    pooled = np.sort(
        np.concatenate([ordered[i] for i in pool]), kind="stable"
    )  # merges sorted runs
    levels = tuple(np.searchsorted(pooled, ordered[i]) / n_pool for i in held)
    return Unfolding(levels, tuple(pool), tuple(held), 1 / n_pool)


def spacing_ratios(eigenvalues: ArrayLike, *, bounded: bool = False) -> Array:
    """The ratios (11) of consecutive spacings of one spectrum, bounded: min(r, 1/r).

    Equal eigenvalues: a ratio is 0 or infinite where one of its spacings is zero, and left out
    where both are, so that n eigenvalues have n - 2 ratios at most; `count_ties` counts.
    """
    return end_to_end_ratios(sorted_spectra([eigenvalues], at_least=3), bounded=bounded)


def end_to_end_ratios(spectra: Sequence[Array], *, bounded: bool = False) -> Array:
    """`spacing_ratios` of ascending spectra, each of three or more, one after the other."""
    spacings = np.diff(np.concatenate(spectra))
    inside = np.ones(len(spacings) - 1, bool)
    between = np.cumsum([len(spectrum) for spectrum in spectra[:-1]], dtype=int) - 1
    inside[between - 1] = inside[between] = False  # ratios with a spacing from one to the next
    before, after = spacings[:-1][inside], spacings[1:][inside]
    defined = (before > 0) | (after > 0)
    before, after = before[defined], after[defined]
    if bounded:
        return np.minimum(before, after) / np.maximum(before, after)
    with np.errstate(over="ignore"):
        return np.divide(after, before, out=np.full(before.shape, np.inf), where=before > 0)


def count_ties(eigenvalues: ArrayLike) -> int:
    """How many spacings of a spectrum are exactly zero."""
    (ordered,) = sorted_spectra([eigenvalues], at_least=1)
    return int(np.sum(np.diff(ordered) == 0))


def smooth_staircase(eigenvalues: ArrayLike, *, window: int = 50) -> tuple[_Curve, _Curve]:
    """An increasing curve N through a spectrum's staircase, and its inverse curve.

    N interpolates (monotone cubics) the mean eigenvalue and mean index of consecutive blocks, whose
    sizes grow from 8 at either end to `window`, so that the ends of a heavy-tailed spectrum are
    resolved. This is done twice, the second time on the levels of the first: a block's means belong
    together only where the density is nearly constant. The i-th of n eigenvalues, from zero, is at
    about i + 1/2.
    """
    (ordered,) = sorted_spectra([eigenvalues], at_least=3)
    if ordered[0] == ordered[-1]:
        raise UserError(
            f"all {len(ordered)} eigenvalues of a spectrum are equal; no spacings exist"
        )
    edges = _block_edges(len(ordered), window)
    coarse, coarse_inverse = _through_means(ordered, edges)
    fine, fine_inverse = _through_means(coarse(ordered), edges)
    return lambda x: fine(coarse(x)), lambda index: coarse_inverse(fine_inverse(index))


def unfold_smooth(eigenvalues: ArrayLike, *, window: int = 50) -> Array:
    """The levels (n,) of one spectrum unfolded by its own `smooth_staircase`.

    The curve follows the spectrum over lengths above `window` spacings, so fluctuations of the
    levels are real only over much shorter ones, say L <= window / 5.
    """
    counting, _ = smooth_staircase(eigenvalues, window=window)
    return counting(np.sort(np.asarray(eigenvalues, float)))


def number_variance(unfolded: ArrayLike, length: ArrayLike) -> Array:
    """Sigma^2 at each of `length`, over all windows inside the unfolded spectrum (n,).

    The average over the window's position is exact: the count changes where a level enters or
    leaves. nan where fewer than two windows fit side by side.
    """
    (levels,) = sorted_spectra([unfolded], at_least=2)
    length = np.asarray(length, float)
    result = [_count_variance(levels, each) for each in _lengths(length)]
    return np.reshape(result, length.shape)


def delta3(unfolded: ArrayLike, length: ArrayLike) -> Array:
    """Delta_3 at each of `length`, over windows inside the unfolded spectrum (n,).

    Windows start at two evenly spaced points per mean spacing; each one's least-squares line is
    exact. nan where fewer than two windows fit side by side.
    """
    (levels,) = sorted_spectra([unfolded], at_least=2)
    length = np.asarray(length, float)
    moments = _StaircaseIntegrals.of(levels)
    result = [moments.mean_rigidity(each) for each in _lengths(length)]
    return np.reshape(result, length.shape)


def sorted_spectra(spectra: Sequence[ArrayLike], *, at_least: int) -> list[Array]:
    """Ascending float64 copies; UserError unless each is 1-D, finite and long enough."""
    ordered = []
    for i, spectrum in enumerate(spectra):
        values = np.sort(np.asarray(spectrum, float), axis=None)
        which = f"spectrum {i} of {len(spectra)}" if len(spectra) > 1 else "the spectrum"
        if np.ndim(spectrum) != 1:
            raise UserError(f"{which} has {np.ndim(spectrum)} dimensions; give a list of numbers")
        if len(values) < at_least:
            raise UserError(
                f"{which} has {len(values)} eigenvalues, local statistics need {at_least} or more; "
                "lower the cut or leave the matrix out"
            )
        if not np.isfinite(values[[0, -1]]).all():
            raise UserError(f"{which} holds values that are not finite; compute it again")
        ordered.append(values)
    if not ordered:
        raise UserError("there are no spectra to take local statistics of; give one or more")
    return ordered


def _lengths(length: Array) -> Array:
    if not np.all(length > 0):
        raise ValueError("window lengths must be positive")
    return length.ravel()


def _block_edges(n: int, window: int) -> NDArray[np.int64]:
    """0 = e_0 < ... < e_k = n, blocks growing from both ends by a half up to `window`."""
    if window < SMALLEST_BLOCK:
        raise ValueError(f"window is {window}, less than {SMALLEST_BLOCK}")
    ends, size = [0], float(SMALLEST_BLOCK)
    while size < window and ends[-1] + 1.5 * size <= 0.5 * n:
        ends.append(ends[-1] + int(size))
        size *= 1.5
    middle = n - 2 * ends[-1]
    pieces = max(round(middle / min(size, window)), 1)
    inner = ends[-1] + np.linspace(0, middle, pieces + 1).round()
    return np.unique([*ends, *inner.astype(int), *(n - end for end in ends)])


def _through_means(ordered: Array, edges: NDArray[np.int64]) -> tuple[_Curve, _Curve]:
    n = len(ordered)
    index = np.concatenate([[0.5], 0.5 * (edges[:-1] + edges[1:]), [n - 0.5]])
    means = np.add.reduceat(ordered, edges[:-1]) / np.diff(edges)
    value = np.concatenate([ordered[:1], means, ordered[-1:]])
    kept = np.concatenate([[True], np.diff(value) > 0])
    return _extended(value[kept], index[kept]), _extended(index[kept], value[kept])


def _extended(x: Array, y: Array) -> _Curve:
    """The monotone cubic through (x, y), continued by straight lines."""
    inside = PchipInterpolator(x, y)
    first, last = ((y[i + 1] - y[i]) / (x[i + 1] - x[i]) for i in (0, -2))

    def curve(t: Array) -> Array:
        clipped = np.clip(t, x[0], x[-1])
        beyond = t - clipped
        return inside(clipped) + np.where(beyond < 0, first, last) * beyond

    return curve


def _count_variance(levels: Array, length: float) -> float:
    last_start = levels[-1] - length
    if last_start - levels[0] < length:
        return float("nan")
    entering, leaving = levels - length, levels[levels < last_start]
    entering = entering[entering > levels[0]]
    events = np.concatenate([leaving, entering])
    order = np.argsort(events, kind="stable")
    # the count in (x, x + L) just after x = levels[0], then one less or more at each event
    change = np.where(order < len(leaving), -1, 1)
    change[0] = 0
    start = np.searchsorted(levels, levels[0] + length, "right") - 1
    counts = start + np.cumsum(change)
    weights = np.diff(events[order], append=last_start)
    weights = weights / weights.sum()
    mean = weights @ counts
    return float(weights @ (counts - mean) ** 2)


@dataclass(frozen=True)
class _StaircaseIntegrals:
    """Integrals from the first level of f, t f and f^2, at the levels; f(t) = n(t) - t - shift.

    The shift makes f small, which keeps the integrals' differences accurate.
    """

    levels: Array
    after: Array  # f just after each level
    integrals: Array  # (3, n)

    @classmethod
    def of(cls, levels: Array) -> "_StaircaseIntegrals":
        levels = levels - levels[0]
        after = np.arange(1, len(levels) + 1) - levels
        after = after - after.mean()
        steps = _pieces(levels[:-1], after[:-1], np.diff(levels))
        return cls(levels, after, np.pad(np.cumsum(steps, axis=1), ((0, 0), (1, 0))))

    def at(self, t: Array) -> Array:
        i = np.clip(np.searchsorted(self.levels, t, "right") - 1, 0, None)
        base = self.levels[i]
        return self.integrals[:, i] + _pieces(base, self.after[i], t - base)

    def mean_rigidity(self, length: float) -> float:
        span = self.levels[-1] - self.levels[0]
        if span < 2 * length:
            return float("nan")
        starts = self.levels[0] + np.linspace(0, span - length, int(2 * span) + 2)
        zeroth, first, square = self.at(starts + length) - self.at(starts)
        first = first - (starts + 0.5 * length) * zeroth
        rigidity = square / length - (zeroth / length) ** 2 - 12 * (first / length**2) ** 2
        return float(rigidity.mean())


def _pieces(t: Array, f: Array, width: Array) -> Array:
    """Integrals of f, t f and f^2 over (t, t + width), where f falls with slope one."""
    zeroth = width * (f - 0.5 * width)
    first = t * zeroth + width**2 * (0.5 * f - width / 3)
    square = width * (f * (f - width) + width**2 / 3)
    return np.stack([zeroth, first, square])
