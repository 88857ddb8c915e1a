"""dz/dF = sum 1 / F_k'(omega_k) - 1 > 0: the gaps in the support of a free sum of two laws.

On a gap of the support omega_1 and omega_2 are real and lie in gaps of mu and nu, and with F = 1/g

    z = K_mu(g) + K_nu(g) - 1/g,    dz/dF = 1 / F_mu'(omega_1) + 1 / F_nu'(omega_2) - 1 > 0,

and conversely: a real root with dz/dF > 0 attracts, hence is the Denjoy-Wolff point. The edges are
the zeros of dz/dF. For one gap of mu, one of nu and one sign of g these points form one interval:
(h')^(-1/2) is concave on a gap, so the mean slope of h between two such points is at most the
geometric mean of its slopes there, and two intervals would need mean slopes with a product above 1.
An atom at a + b with mass mu{a} + nu{b} - 1 > 0 is such a point with F = 0.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize.elementwise import find_minimum, find_root

from hessian_rmt.rmt.law import GAP_NODES, Array, Gaps, Law, gap_points
from hessian_rmt.rmt.laws import Semicircle

Index = NDArray[np.intp]

OPEN = 1e-12  # dz/dF above which a gap counts as open
NARROWEST = 2e-14  # gaps and bands, relative to the hull of the support
FAR = 2.0  # pairs of gaps whose sampled h_1' h_2' is above this can hold no gap


class _Openings(NamedTuple):
    """Intervals low < g < high on which dz/dF > 0, in gap i of mu and gap j of nu."""

    i: Index
    j: Index
    low: Array
    high: Array
    nodes: Array


def gaps_of_sum(mu: Law, nu: Law) -> tuple[Gaps, Index, Index]:
    """The gaps of the free sum, and which gaps of `mu` and `nu` each belongs to."""
    first, second = mu.gaps, nu.gaps
    if isinstance(nu, Semicircle) and mu.explicit:
        i, j, low, high, nodes = _openings_beside_semicircle(mu, nu)
    elif isinstance(mu, Semicircle) and nu.explicit:
        j, i, low, high, nodes = _openings_beside_semicircle(nu, mu)
    else:
        i, j, low, high, nodes = _openings(mu, nu)
    pole = first.pole[i] + second.pole[j] - 1

    def position(y: Array, at_atom: Array) -> Array:
        finite = np.where(np.isinf(y), 1.0, y)
        regular = mu.inverse(finite, i)[0] + nu.inverse(finite, j)[0]
        return np.where(np.isinf(y), at_atom, regular + pole / finite)

    left = position(high, first.left[i] + second.left[j])
    right = position(low, first.right[i] + second.right[j])
    outer = pole == 1
    hull = left[outer] - right[outer]
    keep = outer | (right - left > NARROWEST * hull)
    order = np.flatnonzero(keep)[np.argsort(np.where(outer, -np.inf, left)[keep])]
    i, j = i[order], j[order]
    nodes = nodes[order]
    wide = nodes.shape[1]
    y, rows = nodes.ravel(), (np.repeat(a, wide) for a in (i, j))
    slope = sum(law.inverse(y, row)[1] for law, row in zip((mu, nu), rows, strict=True))
    opening = np.repeat(pole[order], wide) - y**2 * slope
    least = (1 / np.clip(opening, 1e-300, 1) - 1).reshape(nodes.shape).min(1)
    found = Gaps(left[order], right[order], low[order], high[order], pole[order], nodes, least)
    return found, i, j


def _openings_beside_semicircle(mu: Law, semicircle: Semicircle) -> _Openings:
    """dz/dF > 0 where -g' < 1 / variance, and -g' = int dmu / (w - x)^2 is convex on every gap."""
    gaps, variance = mu.gaps, semicircle.variance

    span = gaps.left[0] - gaps.right[0]

    def excess(w: Array, *_: Array) -> Array:
        value = logarithm(w)
        # -g' = F' / F^2 is infinity by infinity where g = 0, as half-way between equal atoms
        at_zero = np.isnan(value)
        value[at_zero] = logarithm(w[at_zero] + 1e-13 * span)
        return value

    def logarithm(w: Array) -> Array:
        z = w.astype(complex)
        h, slope = mu.h_transform(z)
        with np.errstate(over="ignore", invalid="ignore"):
            return np.log(variance * ((1 + slope) / (z + h) ** 2).real)

    # beyond the hull -g' falls like 1 / w^2
    far = span + 2 * (variance**0.5 + abs(mu.mean) + np.abs(gaps.left).max())
    w_left, w_right = gaps.left[1:], gaps.right[1:]
    # The atoms at a gap's two ends alone have -g' >= (m^(1/3) + m'^(1/3))^3 / (w' - w)^2 on it,
    # which rules out most gaps of many atoms without a sum over all of them.
    mass = dict(mu.atoms)
    ends = sum(np.cbrt([mass.get(float(w), 0.0) for w in side]) for side in (w_left, w_right))
    possible = np.flatnonzero(variance * ends**3 <= (w_right - w_left) ** 2)
    w_left, w_right = w_left[possible], w_right[possible]
    found = np.zeros(len(possible), bool)
    middle = np.empty(0)
    if len(possible):
        inner = gap_points(w_left, w_right)
        sample = excess(inner.ravel()).reshape(inner.shape)
        k = np.clip(sample.argmin(1), 1, inner.shape[1] - 2)
        rows = np.arange(len(k))
        middle, least = inner[rows, k], sample[rows, k]
        unsure = (least >= 0) & (least < 1)
        if unsure.any():
            bracket = tuple(inner[rows, k + d][unsure] for d in (-1, 0, 1))
            best = find_minimum(excess, bracket, tolerances={"xrtol": 1e-10, "frtol": 1e-16})
            middle[unsure], least[unsure] = best.x, best.f_x
        found = least < -OPEN
    index = np.flatnonzero(found)
    a = np.r_[gaps.left[0], gaps.right[0] - far, w_left[index], middle[index]]
    b = np.r_[gaps.left[0] + far, gaps.right[0], middle[index], w_right[index]]
    near = NARROWEST * np.maximum(span, np.abs(gaps.left).max())
    root = find_root(excess, (a + near, b - near), tolerances={"xrtol": 4e-16})
    inside = len(index)
    # a narrow semicircle moves an edge by less than `near`: then the gap opens at the edge itself
    at_left = np.r_[True, False, np.full(inside, True), np.full(inside, False)]
    edge = np.where(at_left, a, b)
    unmoved = excess(np.where(at_left, a + near, b - near)) <= 0
    y = mu.stieltjes(np.where(root.success, root.x, np.where(unmoved, edge, np.nan))).real
    high, low = np.r_[y[0], y[2 : 2 + inside]], np.r_[y[1], y[2 + inside :]]
    i = np.r_[0, possible[index] + 1]
    nodes = _spread(low, high, gaps.nodes[i])
    return _Openings(i, np.zeros_like(i), low, high, nodes)


def _openings(mu: Law, nu: Law) -> _Openings:
    """All intervals by sampling, maximising where nothing is positive, and bracketed roots."""
    first, second = mu.gaps, nu.gaps
    i, j = np.nonzero(first.least[:, None] * second.least < FAR)
    # one piece for either sign of g
    sign = np.repeat([1.0, -1.0], len(i))
    i, j = np.tile(i, 2), np.tile(j, 2)
    lowest, highest = (
        np.maximum(first.low[i], second.low[j]),
        np.minimum(first.high[i], second.high[j]),
    )
    low: Array = np.where(sign > 0, np.maximum(lowest, 0), lowest)
    high: Array = np.where(sign < 0, np.minimum(highest, 0), highest)
    possible = low < high
    i, j, low, high = i[possible], j[possible], low[possible], high[possible]
    pole = first.pole[i] + second.pole[j] - 1

    def closed(y: Array, i: Index, j: Index, pole: Array) -> Array:
        """-dz/dF; divided by g^2 where g may vanish inside the gap."""
        slope = mu.inverse(y, i)[1] + nu.inverse(y, j)[1]
        return np.where(pole == 0, slope, y**2 * slope - pole)

    nodes = np.concatenate([first.nodes[i], second.nodes[j]], 1)
    start = np.where(np.isinf(low), nodes.min(1, initial=0), low)
    stop = np.where(np.isinf(high), nodes.max(1, initial=0), high)
    y = np.sort(np.clip(nodes, start[:, None], stop[:, None]), axis=1)
    y = np.concatenate([start[:, None], y, stop[:, None]], 1)
    wide = y.shape[1]
    rows_of = np.repeat(np.arange(len(i)), wide)
    value = closed(y.ravel(), i[rows_of], j[rows_of], pole[rows_of]).reshape(y.shape)

    hull = first.left[0] - first.right[0] + second.left[0] - second.right[0]

    def is_open(value: Array, y: Array, pole: Array) -> NDArray[np.bool]:
        return np.asarray(value * np.where(pole == 0, y**2 + 1 / hull**2, 1) < -OPEN)

    opened: NDArray[np.bool] = is_open(value, y, pole[:, None])
    # where no node is open: every sampled minimum between two lower neighbours is followed down
    rows, columns = np.nonzero(
        (value[:, 1:-1] <= value[:, :-2])
        & (value[:, 1:-1] <= value[:, 2:])
        & (np.diff(y, axis=1)[:, :-1] > 0)
        & (np.diff(y, axis=1)[:, 1:] > 0)
        & ~np.any(opened, axis=1, keepdims=True)
    )
    if rows.size:
        bracket = tuple(y[rows, columns + d] for d in (0, 1, 2))
        best = find_minimum(
            closed,
            bracket,
            args=(i[rows], j[rows], pole[rows]),
            tolerances={"xrtol": 1e-9, "frtol": 1e-15},
        )
        success = is_open(best.f_x, best.x, pole[rows])
        y[rows[success], columns[success] + 1] = best.x[success]
        opened[rows[success], columns[success] + 1] = True
    piece = np.flatnonzero(opened.any(1))
    i, j, pole, low, high = i[piece], j[piece], pole[piece], low[piece], high[piece]
    y, opened = y[piece], opened[piece]
    rows, last = np.arange(len(piece)), wide - 1
    k_low, k_high = opened.argmax(1), last - opened[:, ::-1].argmax(1)
    inner_low, inner_high = k_low > 0, k_high < last
    for ends, k, towards, inner in ((low, k_low, -1, inner_low), (high, k_high, 1, inner_high)):
        at = rows[inner]
        bracket = (y[at, k[inner] + towards], y[at, k[inner]])
        root = find_root(
            closed, bracket, args=(i[at], j[at], pole[at]), tolerances={"xrtol": 4e-16}
        )
        ends[inner] = np.where(root.success, root.x, y[at, k[inner]])
    # a gap that contains g = 0 was cut there
    joined: dict[tuple[int, int], int] = {}
    keep = np.ones(len(piece), bool)
    for row in np.flatnonzero((low == 0) | (high == 0)):
        other = joined.setdefault((int(i[row]), int(j[row])), int(row))
        if other != row:
            low[other], high[other] = min(low[row], low[other]), max(high[row], high[other])
            keep[row] = False
    return _Openings(i[keep], j[keep], low[keep], high[keep], _spread(low, high, y)[keep])


def _spread(low: Array, high: Array, candidates: Array) -> Array:
    """Ascending values between `low` and `high`: `candidates` there, and points in between."""
    start = np.where(np.isinf(low), candidates.min(1), low)
    stop = np.where(np.isinf(high), candidates.max(1), high)
    between = gap_points(start, stop)
    inside = np.sort(np.clip(candidates, between[:, :1], between[:, -1:]), axis=1)
    kept = np.linspace(0, inside.shape[1] - 1, GAP_NODES).astype(int)
    return np.sort(np.concatenate([between, inside[:, kept]], 1), axis=1)
