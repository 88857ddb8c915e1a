"""Quantum unique ergodicity: are a matrix's eigenvectors u_j Gaussian in a fixed direction q?

QUE (`universality` (2.9)) says that x_j = R (q . u_j)^2 behave like squares of independent standard
normals, chi-squared with one degree of freedom. Two nulls, both simulated with vectors from the
Haar measure, x = R z^2 / |z|^2 with z normal in R dimensions:

    isotropic   D = sup |F_n - F| of the x_j themselves: what (2.9) says;
    profile     D of x_j over their mean in a window of neighbouring eigenvalues: Gaussian with a
                variance that changes slowly with the eigenvalue, as by an anisotropic local law.

The direction must be fixed before the matrix is seen. If q is drawn at random from the Haar measure
then x has the null's law exactly, whatever the eigenvectors: such a q tests nothing, and is the
useless control. So is the mean of all x_j, which is |q|^2 = 1.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.special import chdtr

from hessian_rmt.rmt.ensembles import goe
from hessian_rmt.rmt.law import Array

WINDOW = 51  # levels, of the profile
BLOCKS = 10  # of the localised control
NULLS = ("isotropic", "profile")
SIMULATED = 1000  # directions of the null


def chi_squared_distance(overlaps: Array) -> Array:
    """sup |F_n - F| over the last axis, F chi-squared with one degree of freedom."""
    x = np.sort(overlaps, axis=-1)
    n = x.shape[-1]
    expected = chdtr(1, x)
    above = np.arange(1, n + 1) / n - expected
    return np.maximum(above.max(-1), (1 / n - above).max(-1))


def over_profile(overlaps: Array) -> Array:
    """x_j over its mean in `WINDOW` levels; 0 where that is 0."""
    profile = uniform_filter1d(overlaps, WINDOW, axis=-1, mode="nearest")
    return np.divide(overlaps, profile, out=np.zeros_like(overlaps), where=profile > 0)


def delocalisation(overlaps: Array, kinds: Array, order: int, *, seed: int) -> dict[str, Any]:
    """Distances from QUE for directions (Q,) of several kinds, with calibrated p-values.

    overlaps: (Q, n) x_j for n of the matrix's `order` eigenvectors, by ascending eigenvalue.
    Returns for each null N: N/distance and N/p_value (Q,), N/null (SIMULATED,), and
    N/kind_distance and N/kind_p_value (K,), of the mean distance of a kind, for `kind` (K,), in
    the order of their first appearance. Directions of a kind are nearly orthogonal, so their nulls
    are taken as independent.
    """
    rng = np.random.default_rng(seed)
    n = overlaps.shape[1]
    names = list(dict.fromkeys(kinds.tolist()))
    statistics: dict[str, Any] = {"kind": np.array(names)}
    simulated = haar_overlaps(order, SIMULATED, rng)[:, :n]
    for null in NULLS:
        change = over_profile if null == "profile" else np.asarray
        reference = np.sort(chi_squared_distance(change(simulated)))
        distance = chi_squared_distance(change(np.asarray(overlaps, float)))
        mean, p = [], []
        for name in names:
            own = distance[kinds == name]
            means = rng.choice(reference, (2 * SIMULATED, len(own))).mean(1)
            mean.append(own.mean())
            p.append((1 + np.sum(means >= own.mean())) / (1 + len(means)))
        rank = np.searchsorted(reference, distance, side="left")
        statistics |= {
            f"{null}/distance": distance,
            f"{null}/p_value": (1 + SIMULATED - rank) / (1 + SIMULATED),
            f"{null}/null": reference,
            f"{null}/kind_distance": np.array(mean),
            f"{null}/kind_p_value": np.array(p),
        }
    return statistics


def haar_overlaps(order: int, count: int, rng: np.random.Generator) -> Array:
    """x (count, order) of Haar-distributed eigenvectors with any q."""
    x = rng.standard_normal((count, order)) ** 2
    return order * x / x.sum(1, keepdims=True)


def control_overlaps(order: int, directions: int, rng: np.random.Generator) -> Mapping[str, Array]:
    """x (directions, order) of sampled matrices whose verdict is known.

    "GOE" with coordinates (passes), "blocks", a direct sum of `BLOCKS` of them, with coordinates
    (must fail) and "blocks, random q" (passes all the same). Eigenvectors by ascending eigenvalue.
    """
    size = order // BLOCKS
    order = BLOCKS * size
    solved = [np.linalg.eigh(goe(size, rng)) for _ in range(BLOCKS)]
    values = np.concatenate([values for values, _ in solved])
    blocks = np.zeros((order, order))
    for i, (_, vectors) in enumerate(solved):
        place = slice(i * size, (i + 1) * size)
        blocks[place, place] = vectors
    blocks = blocks[:, np.argsort(values)]
    _, delocalised = np.linalg.eigh(goe(order, rng))
    chosen = rng.choice(order, directions, replace=False)
    q = rng.standard_normal((order, directions))
    q /= np.linalg.norm(q, axis=0)
    return {
        "GOE": order * delocalised[chosen] ** 2,
        "blocks": order * blocks[chosen] ** 2,
        "blocks, random q": order * (q.T @ blocks) ** 2,
    }
