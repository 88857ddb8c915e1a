"""Free additive convolution: errors against closed forms, edges, and times of 1,000 densities.

    OMP_NUM_THREADS=1 python benchmarks/free_convolution.py [table.csv]

A row's time is for 1,000 points across the hull of the support, the support known; edges have their
own column. Errors are taken 1 % of a band away from its edges. The last row compares the intervals
of random atoms + semicircle with root finding in 40 digits; "wrong" counts a number of intervals
that differs, by the search made for semicircles or by the one for any two laws. Whether the peers
freealg and rmtool are installed is said below the table; they are not timed.
"""

import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from statistics import median

import mpmath
import numpy as np
from numpy.typing import NDArray

from common import alternate, table
from hessian_rmt.rmt import free_edges
from hessian_rmt.rmt.discrete_laws import Atoms, Empirical
from hessian_rmt.rmt.free_convolution import FreeSum
from hessian_rmt.rmt.law import Law
from hessian_rmt.rmt.laws import KestenMcKay, MarchenkoPastur, Semicircle

Array = NDArray[np.float64]
POINTS, REPEATS, CASES = 1000, 7, 100
PEERS = ("freealg", "rmtool")
COLUMNS = (
    "pair",
    "density_error",
    "edge_error",
    "residual",
    "intervals",
    "density_seconds",
    "edges_seconds",
    "newton_steps",
)


def roots(coefficients: Callable[[float], list[float]]) -> Callable[[Array], Array]:
    """The density from the polynomial of g."""
    return lambda x: np.array([np.roots(coefficients(t)).imag.max() / np.pi for t in x])


def marchenko_pastur_roots(ratio: float, variance: float) -> Callable[[Array], Array]:
    return roots(lambda z: [variance * ratio, -(variance + z * ratio), z + ratio - 1, -1])


def kesten_mckay_roots(d: int) -> Callable[[Array], Array]:
    return roots(lambda z: [-0.25, z, d * d - z * z + (d - 2) / 2, -(d - 2) * z, d - 1])


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


def random_atoms() -> tuple[int, int, float]:
    """Cases with a wrong number of intervals, by either search, intervals, and the worst edge."""
    rng, wrong, intervals, worst = np.random.default_rng(0), 0, 0, 0.0
    for _ in range(CASES):
        count = rng.integers(2, 8)
        spread, evenness = 10 ** rng.uniform(-1, 1), rng.choice([0.3, 1.0, 5.0])
        weights = rng.dirichlet(np.full(count, evenness)) + 1e-4
        atoms = Atoms(spread * rng.standard_normal(count), weights)
        semicircle = Semicircle(10 ** rng.uniform(-4, 1))
        expected = exact_edges(atoms, semicircle.variance)
        found = np.ravel(FreeSum(atoms, semicircle).support)
        general = len(free_edges._openings(atoms, semicircle).low)
        intervals += len(expected) // 2
        if len(found) != len(expected) or 2 * general != len(expected):
            wrong += 1
        else:
            worst = max(worst, float(np.abs(np.sort(expected) - found).max()))
    return wrong, intervals, worst


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
    )


def main(path: str) -> None:
    rows = [measure(name) for name in PAIRS]
    wrong, intervals, worst = random_atoms()
    name = f"{CASES} random atoms + semicircle, {wrong} wrong"
    nan = float("nan")
    rows.append((name, nan, worst, nan, intervals, nan, nan, nan))
    table(rows, COLUMNS, path)
    for peer in PEERS:
        found = "importable, not timed here" if find_spec(peer) else "missing: not compared"
        print(f"{peer}: {found}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "results/benchmarks/free_convolution.csv")
