"""Do spacings or ratios agree with a law? Distances calibrated on matched GOE spectra.

The statistic is D = sup |F_n - F| for the observed distribution F_n and a law F. Its textbook law
does not apply: spacings of one matrix are dependent, a surmise is off by itself (the Wigner surmise
by 0.0066), and unfolding by m spectra adds their noise. So D is compared with its values D* for GOE
spectra of the same sizes and density that went through the same unfolding,

    p = (1 + #{D* >= D}) / (1 + replicates).

GOE eigenvalues are those of the tridiagonal matrix with diagonal N(0, 2) and off-diagonal
chi_(n-1), ..., chi_1 (Dumitriu, Edelman, arXiv:math-ph/0206043). The semicircle's distribution with
its correction for size n makes their density one,

    N(2 sqrt n sin a) = n (1/2 + (a + sin a cos a) / pi) + 1/4 - (a + pi/2) / (2 pi),

and the observed spectrum's smooth quantiles give it the observed one. Unfolding by a pool does not
see that last, increasing map where it is one map for all matrices. Where each has a density of its
own, as the Hessians of different batches, the spacings' law is no longer the GOE's, though all
matrices were; `matched_spacing_agreement` tests in that case. Local statistics forget the matrix
after some ten levels, therefore long spectra are put together from 128 spacings each of many small
matrices.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigvalsh_tridiagonal
from scipy.special import stdtrit

from hessian_rmt.errors import UserError
from hessian_rmt.rmt.local_laws import (
    GOE_BOUNDED_RATIO,
    POISSON_BOUNDED_RATIO,
    LocalLaw,
    bounded_ratio_surmise,
    goe_spacing,
    ratio_surmise,
)
from hessian_rmt.rmt.spacings import (
    Unfolding,
    count_ties,
    end_to_end_ratios,
    smooth_staircase,
    sorted_spectra,
    spacing_ratios,
    unfold,
)

Array = NDArray[np.float64]

SEGMENT, MARGIN = 128, 16  # spacings kept of each simulated matrix, and left out at either end
SIMULATED = (1 << 9, 1 << 12)  # fewest and most matrices simulated for one test
PER_OBSERVED = 20  # simulated for each observed spacing, between those bounds
AT_ONCE = 1 << 21  # levels in memory
BLOCK, FEWEST_MATRICES = 50, 20  # see `mean_bounded_ratio`


@dataclass(frozen=True)
class Agreement:
    """A statistic beside its values for matched GOE spectra, and the p-value that follows.

    count: of the spacings or ratios; ties: of exactly equal neighbours, before unfolding.
    """

    statistic: float
    null: Array
    p_value: float
    law: str
    count: int
    ties: int


class RatioAgreement(NamedTuple):
    """`distance` from the law (one-sided), and the mean of min(r, 1/r) (two-sided)."""

    distance: Agreement
    mean: Agreement


@dataclass(frozen=True)
class MeanRatio:
    """The mean of min(r, 1/r), its standard error and 95 % interval, see `mean_bounded_ratio`.

    z_goe and z_poisson: distance from 0.5307 and from 2 log 2 - 1 in standard errors.
    """

    mean: float
    standard_error: float
    interval: tuple[float, float]
    z_goe: float
    z_poisson: float
    count: int
    ties: int
    groups: int


def goe_eigenvalues(n: int, rng: np.random.Generator) -> Array:
    """Eigenvalues (n,), ascending, of a GOE matrix, off-diagonal variance 1, radius 2 sqrt n."""
    diagonal = rng.normal(0, np.sqrt(2), n)
    off_diagonal = np.sqrt(rng.chisquare(np.arange(n - 1, 0, -1)))
    return eigvalsh_tridiagonal(diagonal, off_diagonal, lapack_driver="sterf")


def matched_goe(
    spectra: Sequence[ArrayLike], sets: int, *, window: int = 50, seed: int = 0
) -> Iterator[list[Array]]:
    """`sets` lists of GOE spectra, each with the sizes and densities of `spectra`.

    A spectrum is any run of consecutive eigenvalues, also the outermost few hundred of a large
    matrix: the reference has the statistics of the bulk everywhere, and no edge. The density is
    that of each spectrum's own `smooth_staircase` with `window`.
    """
    ordered = sorted_spectra(spectra, at_least=3)
    quantiles = [smooth_staircase(spectrum, window=window)[1] for spectrum in ordered]
    for levels in _goe_level_blocks([len(spectrum) for spectrum in ordered], sets, seed):
        matched = [np.sort(quantile(x)) for quantile, x in zip(quantiles, levels, strict=True)]
        yield from map(list, zip(*matched, strict=True))


def spacing_agreement(
    spectra: Sequence[ArrayLike],
    *,
    law: LocalLaw = goe_spacing,
    pool_fraction: float = 2 / 3,
    replicates: int = 199,
    seed: int = 0,
) -> Agreement:
    """Distance between the spacings of `unfold` and `law`; p small: not GOE.

    The spacings are multiples of 1/m, so the distributions are compared half-way between these.
    seed: of the choice of the pool and of the simulation. Raises UserError as `unfold` does.
    """
    ordered = sorted_spectra(spectra, at_least=2)
    unfolding = unfold(ordered, pool_fraction=pool_fraction, seed=seed)
    n = len(unfolding.spacings)
    expected = law.cdf(_lattice(unfolding.step))

    def distance(unfolding: Unfolding) -> float:
        return float(np.max(np.abs(_distribution(unfolding) - expected)))

    null = [
        distance(unfold(levels, pool_fraction=pool_fraction, seed=seed))
        for levels in _goe_levels([len(x) for x in ordered], replicates, seed, n)
    ]
    return _one_sided(distance(unfolding), np.array(null), law, n, sum(map(count_ties, ordered)))


def matched_spacing_agreement(
    spectra: Sequence[ArrayLike],
    *,
    pool_fraction: float = 2 / 3,
    window: int = 50,
    replicates: int = 199,
    seed: int = 0,
) -> Agreement:
    """Distance between the spacings of `unfold` and those of `matched_goe`; p small: not GOE.

    Each matrix of the reference has the density of its own counterpart, and goes through the same
    pool. The law is the mean F of the reference's and the observed distributions, D = sup |F_n - F|
    of each; so all D are exchangeable where the spectra are GOE, and p is exact.

    Raises UserError as `unfold` does, and where all eigenvalues of a spectrum are equal.
    """
    ordered = sorted_spectra(spectra, at_least=3)
    observed = unfold(ordered, pool_fraction=pool_fraction, seed=seed)
    reference = [
        _distribution(unfold(levels, pool_fraction=pool_fraction, seed=seed))
        for levels in matched_goe(ordered, replicates, window=window, seed=seed)
    ]
    together = np.stack([*reference, _distribution(observed)])
    *null, distance = np.max(np.abs(together - together.mean(axis=0)), axis=1).tolist()
    p_value = (1 + sum(each >= distance for each in null)) / (1 + len(null))
    return Agreement(
        distance,
        np.array(null),
        p_value,
        "GOE of each matrix's density",
        len(observed.spacings),
        sum(map(count_ties, ordered)),
    )


def ratio_agreement(
    spectra: Sequence[ArrayLike],
    *,
    bounded: bool = False,
    law: LocalLaw | None = None,
    window: int = 50,
    replicates: int = 199,
    seed: int = 0,
) -> RatioAgreement:
    """Distance between the spacing ratios of all `spectra` and `law` (default: the GOE surmise).

    `spectra` and `window` as in `matched_goe`. Raises UserError for spectra of fewer than three
    eigenvalues and where all eigenvalues of one are equal.
    """
    if law is None:
        law = bounded_ratio_surmise if bounded else ratio_surmise
    ordered = sorted_spectra(spectra, at_least=3)

    def statistics(spectra: list[Array]) -> tuple[float, float, int]:
        ratios = end_to_end_ratios(spectra, bounded=bounded)
        within = ratios if bounded else _bounded(ratios)
        return _distance(ratios, law), float(np.mean(within)), len(ratios)

    null = [
        statistics(reference)[:2]
        for reference in matched_goe(ordered, replicates, window=window, seed=seed)
    ]
    distances, means = np.transpose(null)
    distance, mean, n = statistics(ordered)
    ties = sum(map(count_ties, ordered))
    tail = min(np.sum(means >= mean), np.sum(means <= mean))
    p_value = min(1.0, 2 * (1 + float(tail)) / (1 + len(means)))
    return RatioAgreement(
        _one_sided(distance, distances, law, n, ties),
        Agreement(mean, means, p_value, "GOE", n, ties),
    )


def mean_bounded_ratio(spectra: Sequence[ArrayLike]) -> MeanRatio:
    """The mean of min(r, 1/r) over all `spectra`, its error by a delete-one-group jackknife.

    A group is a matrix where there are 20 or more; otherwise about 50 consecutive ratios of one
    matrix (at least ten groups), far more than the two or three over which ratios are correlated.
    The interval is Student's with groups - 1 degrees of freedom.

    Raises UserError for fewer than 20 ratios.
    """
    ordered = sorted_spectra(spectra, at_least=3)
    ratios = [spacing_ratios(x, bounded=True) for x in ordered]
    ratios = [x for x in ratios if len(x)]
    count = sum(map(len, ratios))
    if count < 20:
        raise UserError(
            f"there are {count} spacing ratios, an error estimate needs 20; give more eigenvalues"
        )
    if len(ratios) < FEWEST_MATRICES:
        size = min(BLOCK, count // 10)
        ratios = [
            block for x in ratios for block in np.array_split(x, max(round(len(x) / size), 1))
        ]
    sums, sizes = np.array([[x.sum(), len(x)] for x in ratios]).T
    mean = float(sums.sum()) / count
    without = (sums.sum() - sums) / (count - sizes)
    groups = len(ratios)
    error = float(np.sqrt((groups - 1) / groups * np.sum((without - without.mean()) ** 2)))
    reach = float(stdtrit(groups - 1, 0.975)) * error
    distances = np.array([mean - GOE_BOUNDED_RATIO, mean - POISSON_BOUNDED_RATIO])
    z_goe, z_poisson = (distances / max(error, 1e-300)).tolist()  # an error of 0: equal ratios
    ties = sum(map(count_ties, ordered))
    return MeanRatio(
        mean, error, (mean - reach, mean + reach), z_goe, z_poisson, count, ties, groups
    )


def _goe_levels(
    sizes: Sequence[int], sets: int, seed: int, observed: int | None = None
) -> Iterator[list[Array]]:
    """`sets` lists of GOE levels of density one, the i-th of n, from zero, at about i + 1/2."""
    for block in _goe_level_blocks(sizes, sets, seed, observed):
        yield from map(list, zip(*block, strict=True))


def _goe_level_blocks(
    sizes: Sequence[int], sets: int, seed: int, observed: int | None = None
) -> Iterator[list[Array]]:
    """The levels (c, n) of c sets at once, `sets` in all, for each of the sizes n."""
    observed = sum(sizes) if observed is None else observed
    wanted = PER_OBSERVED * observed // SEGMENT
    matrices = 1 << (min(max(wanted, SIMULATED[0]), SIMULATED[1]) - 1).bit_length()
    simulated = _simulated_spacings(matrices, seed)
    rng = np.random.default_rng([seed, 1])
    at_once = max(1, AT_ONCE // sum(sizes))
    for start in range(0, sets, at_once):
        count = min(at_once, sets - start)
        yield [_assembled(count, n, simulated, rng) for n in sizes]


def _assembled(sets: int, n: int, simulated: Array, rng: np.random.Generator) -> Array:
    starts = rng.integers(SEGMENT, size=(sets, 1))
    rows = rng.integers(len(simulated), size=(sets, -(-(SEGMENT - 1 + n) // SEGMENT)))
    pieces = simulated[rows].reshape(sets, -1)
    levels = np.cumsum(np.take_along_axis(pieces, starts + np.arange(n), axis=1), axis=1)
    levels += 0.5 * n + rng.uniform(-0.5, 0.5, (sets, 1)) - levels.mean(axis=1, keepdims=True)
    return levels


def _simulated_spacings(matrices: int, seed: int) -> Array:
    """Spacings (matrices, SEGMENT) from the bulk of as many GOE matrices."""
    parts = range(0, matrices, SIMULATED[0])
    return np.concatenate([_simulated_part(part, seed) for part in parts])


@lru_cache(maxsize=SIMULATED[1] // SIMULATED[0])
def _simulated_part(first: int, seed: int) -> Array:
    """Those of the matrices `first`, ..., which tests of all sizes share.

    Each row is scaled to mean one, by about 1 %, so that long spectra keep to their density.
    """
    rng = np.random.default_rng([seed, 0, first])
    n = SEGMENT + 1 + 2 * MARGIN
    eigenvalues = np.stack([goe_eigenvalues(n, rng) for _ in range(SIMULATED[0])])
    spacings = np.diff(semicircle_counting(eigenvalues[:, MARGIN : n - MARGIN], n), axis=1)
    return spacings / spacings.mean(axis=1, keepdims=True)


def semicircle_counting(eigenvalues: ArrayLike, n: int) -> Array:
    """The mean number of `goe_eigenvalues` below each of `eigenvalues`, to o(1) inside the bulk."""
    angle = np.arcsin(np.clip(np.asarray(eigenvalues, float) / (2 * np.sqrt(n)), -1, 1))
    bulk = n * (0.5 + (angle + np.sin(angle) * np.cos(angle)) / np.pi)
    return bulk + 0.25 - (angle + 0.5 * np.pi) / (2 * np.pi)


def _lattice(step: float) -> Array:
    """Half-way between the multiples of `step`, up to 40: no law here has mass beyond."""
    return np.arange(0.5, 40 / step) * step


def _distribution(unfolding: Unfolding) -> Array:
    """The distribution of pool-unfolded spacings at `_lattice`."""
    step, spacings = unfolding.step, unfolding.spacings
    points = len(_lattice(step))
    multiples = np.minimum(np.rint(spacings / step).astype(int), points)
    counts = np.bincount(multiples, minlength=points + 1)[:points]
    return np.cumsum(counts) / len(spacings)


def _bounded(ratios: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.minimum(ratios, 1 / ratios)


def _distance(values: Array, law: LocalLaw) -> float:
    """sup |F_n - F|, equal values included."""
    expected, n = law.cdf(np.sort(values)), len(values)
    above = np.arange(1, n + 1) / n - expected
    return float(max(above.max(), (1 / n - above).max()))


def _one_sided(statistic: float, null: Array, law: LocalLaw, count: int, ties: int) -> Agreement:
    p_value = (1 + np.sum(null >= statistic)) / (1 + len(null))
    return Agreement(statistic, null, float(p_value), law.name, count, ties)
