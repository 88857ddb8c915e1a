"""Free additive convolution: errors against closed forms, edges, and times of 1,000 densities.

    OMP_NUM_THREADS=1 python benchmarks/free_convolution.py [table.csv]

A row's time is for 1,000 points across the hull of the support, the support known; edges have their
own column. Errors are taken 1 % of a band away from its edges. The last row compares the intervals
of random atoms + semicircle with root finding in 40 digits; "wrong" counts a number of intervals
that differs, by the search made for semicircles or by the one for any two laws, and by freealg's.

Peers, where they are installed and can do a pair: rmtool (polynomials in sympy; its polynomial is
made before the clock starts) and freealg (atoms + semicircle only; its density is taken at distance
`ETA` from the axis, the nearest at which it is still right). They are timed in turns with us.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, pairwise
from math import nan, prod
from statistics import median
from time import perf_counter

import mpmath
import numpy as np
from numpy.typing import NDArray

from common import Comparison, alternate, median_ratio, record, table
from hessian_rmt.rmt import free_edges
from hessian_rmt.rmt.discrete_laws import Atoms, Empirical
from hessian_rmt.rmt.free_convolution import FreeSum
from hessian_rmt.rmt.law import Law
from hessian_rmt.rmt.laws import KestenMcKay, MarchenkoPastur, Semicircle

Array = NDArray[np.float64]
POINTS, REPEATS, CASES, ETA = 1000, 3, 100, 1e-9
SLOW = 0.5  # seconds for four points, beyond which a peer is not timed
MOST_ATOMS = 50  # the peers' polynomials have one degree more than atoms: minutes for 500
COLUMNS = (
    "pair",
    "density_error",
    "edge_error",
    "residual",
    "intervals",
    "density_seconds",
    "edges_seconds",
    "newton_steps",
    "peer",
    "peer_density_error",
    "peer_seconds",
    "times_faster",
)


def roots(coefficients: Callable[[float], list[float]]) -> Callable[[Array], Array]:
    """The density from the polynomial of g."""
    return lambda x: np.array([np.roots(coefficients(t)).imag.max() / np.pi for t in x])


def marchenko_pastur_roots(ratio: float, variance: float) -> Callable[[Array], Array]:
    return roots(lambda z: [variance * ratio, -(variance + z * ratio), z + ratio - 1, -1])


def kesten_mckay_roots(d: int) -> Callable[[Array], Array]:
    return roots(lambda z: [-0.25, z, d * d - z * z + (d - 2) / 2, -(d - 2) * z, d - 1])


def atoms_roots(atoms: Atoms, variance: float) -> Callable[[Array], Array]:
    """Of sum_i w_i / (z - x_i - v g) = g, multiplied by its denominators."""

    def coefficients(z: float) -> Array:
        factors = [np.poly1d([-variance, z - x]) for x in atoms.positions]
        whole = prod(factors, start=np.poly1d([1.0, 0.0]))
        for i, weight in enumerate(atoms.weights):
            others = factors[:i] + factors[i + 1 :]
            whole = whole - weight * prod(others, start=np.poly1d([1.0]))
        return whole.coeffs

    return roots(coefficients)


FIVE_ATOMS = Atoms([-2.0, -1.0, 0.0, 1.5, 3.0], [0.1, 0.2, 0.3, 0.25, 0.15])
SPECTRUM = Empirical(np.random.default_rng(0).standard_normal(500))
PAIRS: dict[str, tuple[Law, Law, Callable[[Array], Array] | None]] = {
    "semicircle + semicircle": (Semicircle(0.5), Semicircle(0.5), Semicircle(1.0).density),
    "semicircle + MP(1/2)": (
        Semicircle(0.5),
        MarchenkoPastur(0.5),
        marchenko_pastur_roots(0.5, 0.5),
    ),
    "semicircle + MP(3)": (
        Semicircle(0.02),
        MarchenkoPastur(3.0),
        marchenko_pastur_roots(3.0, 0.02),
    ),
    "KM(3) + semicircle": (KestenMcKay(3), Semicircle(0.5), kesten_mckay_roots(3)),
    "MP(1/2) + MP(1/2)": (
        MarchenkoPastur(0.5),
        MarchenkoPastur(0.5),
        MarchenkoPastur(0.25, 2.0).density,
    ),
    "two atoms + two atoms": (
        Atoms([-1.0, 1.0]),
        Atoms([-1.0, 1.0]),
        KestenMcKay(2).density,
    ),
    "5 atoms + semicircle": (FIVE_ATOMS, Semicircle(0.05), atoms_roots(FIVE_ATOMS, 0.05)),
    "MP(1/2) + KM(3)": (MarchenkoPastur(0.5), KestenMcKay(3), None),
    "500 atoms + semicircle": (SPECTRUM, Semicircle(0.05), None),
    "500 atoms + MP(1/2)": (SPECTRUM, MarchenkoPastur(0.5), None),
}
CLOSED_EDGES = {
    "semicircle + semicircle": [-2.0, 2.0],
    "MP(1/2) + MP(1/2)": [0.5, 4.5],
    "two atoms + two atoms": [-2.0, 2.0],
}


def exact_edges(atoms: Atoms, variance: float) -> list[float]:
    """Edges of atoms + semicircle in 40 digits: sum m / (w - x)^2 = 1 / variance, convex in w."""
    mpmath.mp.dps = 40
    x, m = ([mpmath.mpf(float(v)) for v in a] for a in (atoms.positions, atoms.weights))
    v = mpmath.mpf(float(variance))

    def value(w):
        return mpmath.fsum(b / (w - a) ** 2 for a, b in zip(x, m, strict=True)) - 1 / v

    def slope(w):
        return mpmath.fsum(-b / (w - a) ** 3 for a, b in zip(x, m, strict=True))

    def root(f, low, high):
        rises = f(high) > 0
        for _ in range(130):
            middle = (low + high) / 2
            low, high = (low, middle) if (f(middle) > 0) == rises else (middle, high)
        return low

    far, tiny = mpmath.sqrt(v) * 2, mpmath.mpf(10) ** -30
    w = [root(value, x[0] - far, x[0] - tiny)]
    for a, b in pairwise(x):
        middle = root(slope, a + tiny, b - tiny)
        if value(middle) < 0:
            w += [root(value, middle, a + tiny), root(value, middle, b - tiny)]
    w.append(root(value, x[-1] + far, x[-1] + tiny))
    z = [a + v * mpmath.fsum(d / (a - c) for c, d in zip(x, m, strict=True)) for a in w]
    return [float(edge) for edge in z]


def peer_of(first: Law, second: Law) -> tuple[str, Callable[[Array], Array]] | None:
    """The peer that can do this pair, and its density."""
    if any(len(law.positions) > MOST_ATOMS for law in (first, second) if isinstance(law, Atoms)):
        return None
    try:
        if isinstance(first, Atoms) and isinstance(second, Semicircle):
            return "freealg", _freealg(first, second)
        return "rmtool", _rmtool(first, second)
    except (ImportError, NotImplementedError):
        return None


def _freealg(first: Law, second: Law) -> Callable[[Array], Array]:
    from freealg.distributions import DeformedWigner

    law = DeformedWigner(first.positions, first.weights, sigma=second.variance**0.5)
    return partial(law.density, eta=ETA)


def _rmtool(first: Law, second: Law) -> Callable[[Array], Array]:
    import rmtool
    from sympy import Rational, sqrt

    def polynomial(law: Law):
        if isinstance(law, Semicircle):
            return rmtool.scaleA(rmtool.wignerpol(), sqrt(Rational(str(law.variance))))
        if isinstance(law, MarchenkoPastur):
            return rmtool.wishartpol(Rational(str(law.ratio)))
        if isinstance(law, Atoms):
            return rmtool.atomLmz(
                [Rational(str(x)) for x in law.positions], [Rational(str(w)) for w in law.weights]
            )
        raise NotImplementedError

    sum_polynomial = rmtool.AplusB(polynomial(first), polynomial(second))
    return lambda x: np.asarray(rmtool.Lmz2pdf(sum_polynomial, x).density).ravel()


def _peer_columns(
    first: Law, second: Law, law: FreeSum, closed: Callable[[Array], Array] | None, inner: Array
) -> tuple:
    """Name, error, seconds, and how many times faster ours is, in turns on the same points."""
    peer = peer_of(first, second)
    if peer is None:
        return ("", nan, nan, nan)
    name, density = peer
    x = np.linspace(law.gaps.right[0], law.gaps.left[0], POINTS + 2)[1:-1]
    try:
        start = perf_counter()
        density(x[:: POINTS // 3])
        if perf_counter() - start > SLOW:
            return (f"{name} takes {perf_counter() - start:.0f} s for 4 points", nan, nan, nan)
        ours, theirs = alternate([partial(law.density, x), partial(density, x)], REPEATS)
    except (np.linalg.LinAlgError, ValueError) as error:
        return (f"{name} fails ({type(error).__name__})", nan, nan, nan)
    error = float(np.abs(closed(inner) - density(inner)).max()) if closed else nan
    return (name, error, median(theirs), median_ratio(theirs, ours))


def _freealg_intervals(atoms: Atoms, semicircle: Semicircle) -> int | None:
    try:
        from freealg.distributions import DeformedWigner
    except ImportError:
        return None
    law = DeformedWigner(atoms.positions, atoms.weights, sigma=semicircle.variance**0.5)
    return len(law.support())


def random_atoms() -> tuple[int, int | None, int, float]:
    """Cases with a wrong number of intervals: ours by either search, freealg's; the worst edge."""
    rng, wrong, intervals, worst = np.random.default_rng(0), 0, 0, 0.0
    peers_wrong: int | None = 0
    for _ in range(CASES):
        count = rng.integers(2, 8)
        spread, evenness = 10 ** rng.uniform(-1, 1), rng.choice([0.3, 1.0, 5.0])
        weights = rng.dirichlet(np.full(count, evenness)) + 1e-4
        atoms = Atoms(spread * rng.standard_normal(count), weights)
        semicircle = Semicircle(10 ** rng.uniform(-4, 1))
        expected = exact_edges(atoms, semicircle.variance)
        found = np.ravel(FreeSum(atoms, semicircle).support)
        general = len(free_edges._openings(atoms, semicircle).low)
        theirs = _freealg_intervals(atoms, semicircle)
        peers_wrong = None if theirs is None else peers_wrong + (2 * theirs != len(expected))
        intervals += len(expected) // 2
        if len(found) != len(expected) or 2 * general != len(expected):
            wrong += 1
        else:
            worst = max(worst, float(np.abs(np.sort(expected) - found).max()))
    return wrong, peers_wrong, intervals, worst


def measure(name: str) -> tuple:
    first, second, closed = PAIRS[name]
    law = FreeSum(first, second)
    low, high = law.gaps.right[0], law.gaps.left[0]
    x = np.linspace(low, high, POINTS + 2)[1:-1]
    densities, edges = alternate(
        [partial(law.density, x), lambda: FreeSum(first, second).gaps], REPEATS
    )
    inner = np.concatenate(
        [np.linspace(a + 0.01 * (b - a), b - 0.01 * (b - a), 200) for a, b in law.support]
    )
    solved = law.subordination(inner)
    error = float(np.abs(closed(inner) - law.density(inner)).max()) if closed else float("nan")
    edge = (
        float(np.abs(np.ravel(law.support) - CLOSED_EDGES[name]).max())
        if name in CLOSED_EDGES
        else float("nan")
    )
    return (
        name,
        error,
        edge,
        float(solved.residual.max()),
        len(law.support),
        median(densities),
        median(edges),
        solved.steps,
        *_peer_columns(first, second, law, closed, inner),
    )


def comparisons(row: tuple) -> Iterator[Comparison]:
    """Against the peer, if one can do it; our seconds against what they should be at most."""
    values = dict(zip(COLUMNS, row, strict=True))
    most = 0.2 if "500" in values["pair"] else 0.02
    what, size, ours = (
        f"density of {values['pair']}",
        f"{POINTS:,} points",
        values["density_seconds"],
    )
    yield Comparison(what, size, "seconds", ours, at_most=most)
    for figure, value, goal in (
        ("density error", values["density_error"], 1e-10),
        ("edge error", values["edge_error"], 1e-9),
    ):
        if value == value:
            yield Comparison(what, size, figure, value, at_most=goal)
    if values["peer"]:
        yield Comparison(
            what,
            size,
            "times faster",
            values["times_faster"],
            at_least=10 if values["times_faster"] == values["times_faster"] else nan,
            peer=values["peer"],
            our_seconds=values["peer_seconds"] / values["times_faster"],  # in turns with the peer
            peer_seconds=values["peer_seconds"],
            accuracy="density error",
            our_accuracy=values["density_error"],
            peer_accuracy=values["peer_density_error"],
        )


def main(path: str) -> None:
    rows = [measure(name) for name in PAIRS]
    wrong, peers_wrong, intervals, worst = random_atoms()
    name = f"{CASES} random atoms + semicircle, {wrong} wrong"
    peer = "" if peers_wrong is None else f"freealg, {peers_wrong} wrong"
    pairs = list(rows)
    rows.append((name, nan, worst, nan, intervals, nan, nan, nan, peer, nan, nan, nan))
    table(rows, COLUMNS, path)
    counted = Comparison(
        f"intervals of {CASES} random atoms + semicircle",
        f"{intervals} intervals",
        "wrong cases",
        wrong,
        at_most=0,
        peer="" if peers_wrong is None else "freealg",
        accuracy="wrong cases",
        our_accuracy=wrong,
        peer_accuracy=nan if peers_wrong is None else peers_wrong,
    )
    record([*chain.from_iterable(map(comparisons, pairs)), counted], path)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "results/benchmarks/free_convolution.csv")
