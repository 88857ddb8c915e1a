"""Random matrices with known limiting laws (`universality` 3.3, `applicability` (17)).

    goe               Var M_ij = (1 + delta_ij) / (2 n)                  semicircle of radius sqrt 2
    uniform_wigner    sqrt(n) M_ij ~ U(0, sqrt 6)                        the same
    gamma_wigner      2 sqrt(n) M_ij ~ Gamma(2)                          the same
    wishart           X X^T / m, X (n, m) with entries N(0, 1)           Marchenko-Pastur, n / m
    uniform_wishart   X X^T / m, entries U(0, sqrt 12)                   the same
    regular_graph     adjacency matrix, n nodes of one degree            Kesten-McKay

As printed, uniform and Gamma entries have a non-zero mean, hence one eigenvalue far outside: about
sqrt(3 n / 2), sqrt(n) and 3 n; `centred=True` subtracts the mean. The law is
the same. A graph's largest eigenvalue is its degree.
"""

from collections.abc import Callable
from dataclasses import dataclass

import networkx
import numpy as np

from hessian_rmt.rmt.law import Array, Law
from hessian_rmt.rmt.laws import MarchenkoPastur, Semicircle

GOE_LAW = Semicircle(0.5)
HALF = 0.5  # alpha, the ratio n / m, where the paper gives none (errata)


def goe(n: int, rng: np.random.Generator) -> Array:
    """Gaussian orthogonal ensemble, radius sqrt 2; its law is `GOE_LAW`."""
    entries = rng.standard_normal((n, n))
    return (entries + entries.T) / (2 * n**0.5)


def uniform_wigner(n: int, rng: np.random.Generator, *, centred: bool = False) -> Array:
    """Entries U(0, sqrt 6) / sqrt n, variance 1 / (2 n); its law is `GOE_LAW`."""
    entries = rng.uniform(0, 6**0.5, (n, n)) - (6**0.5 / 2 if centred else 0)
    return _symmetric(entries) / n**0.5


def gamma_wigner(n: int, rng: np.random.Generator, *, centred: bool = False) -> Array:
    """Entries Gamma(2) / (2 sqrt n), variance 1 / (2 n); its law is `GOE_LAW`."""
    entries = rng.gamma(2, size=(n, n)) - (2 if centred else 0)
    return _symmetric(entries) / (2 * n**0.5)


def wishart(n: int, rng: np.random.Generator, *, ratio: float = HALF) -> Array:
    """X X^T / m with m = n / ratio, rounded; its law is `wishart_law(n, ratio)`."""
    factor = rng.standard_normal((n, _columns(n, ratio)))
    return factor @ factor.T / factor.shape[1]


def uniform_wishart(
    n: int, rng: np.random.Generator, *, ratio: float = HALF, centred: bool = False
) -> Array:
    """X X^T / m with entries U(0, sqrt 12), variance 1; its law is `wishart_law(n, ratio)`."""
    factor = rng.uniform(0, 12**0.5, (n, _columns(n, ratio))) - (3**0.5 if centred else 0)
    return factor @ factor.T / factor.shape[1]


def wishart_law(n: int, ratio: float = HALF) -> MarchenkoPastur:
    """Marchenko-Pastur with the ratio n / m that the rounded m has."""
    return MarchenkoPastur(n / _columns(n, ratio))


def regular_graph(n: int, rng: np.random.Generator, *, degree: int = 3) -> Array:
    """Adjacency matrix of a random regular graph (Kim, Vu 2003); its law is `KestenMcKay(degree)`.

    n degree must be even.
    """
    if n * degree % 2 or not 0 <= degree < n:
        raise ValueError(f"regular_graph: n degree must be even, degree < n; n={n}, {degree=}")
    graph = networkx.random_regular_graph(degree, n, seed=int(rng.integers(2**32)))
    return networkx.to_numpy_array(graph, nodelist=range(n), dtype=float)


def haar_orthogonal(n: int, rng: np.random.Generator) -> Array:
    """An orthogonal matrix from the Haar measure (not symmetric)."""
    q, r = np.linalg.qr(rng.standard_normal((n, n)))
    return q * np.sign(np.diagonal(r))


def rotated(matrix: Array, rng: np.random.Generator) -> Array:
    """Q M Q^T with Q from the Haar measure: free from any independent matrix as n grows."""
    q = haar_orthogonal(len(matrix), rng)
    return _mean_of_transposes(q @ matrix @ q.T)


def diagonal(n: int, rng: np.random.Generator, *, law: Law = GOE_LAW) -> Array:
    """A diagonal matrix of draws from `law`: two of them commute, so they are not free."""
    return np.diag(law.sample(n, rng))


def gaussian_process_hessian(
    n: int,
    rng: np.random.Generator,
    *,
    k2: float,
    k1: float = 0.0,
    printed: bool = False,
    degenerate: int = 0,
    outliers: int = 0,
    outlier_scale: float = 5.0,
) -> Array:
    """Hessian of a Gaussian process with kernel k(-|w - w'|^2 / 2); k2 = k''(0), k1 = k'(0).

    Cov(H_ij, H_kl) = k2 (d_ik d_jl + d_il d_jk) + c d_ij d_kl with c = k2, or c = k1^2 if `printed`
    ((17) as it stands, see errata): a GOE matrix plus a common Gaussian shift of variance c.
    `outliers` diagonal entries get outlier_scale (1 + z^2), z standard normal, added, which is
    general since the rest is invariant. `degenerate` rows and columns of zeros follow.
    """
    if not (k2 >= 0 and 0 <= outliers <= n and degenerate >= 0):
        raise ValueError("gaussian_process_hessian: k2 >= 0, 0 <= outliers <= n, degenerate >= 0")
    hessian = (2 * n * k2) ** 0.5 * goe(n, rng)
    shift = (abs(k1) if printed else k2**0.5) * rng.standard_normal()
    hessian[np.diag_indices(n)] += shift
    spikes = np.arange(outliers)
    hessian[spikes, spikes] += outlier_scale * (1 + rng.standard_normal(outliers) ** 2)
    return np.pad(hessian, (0, degenerate))


def gaussian_process_law(n: int, k2: float, shift: float = 0.0) -> Semicircle:
    """Law of the bulk given the common shift: variance n k2, not normalised by n (as Fig. 5)."""
    return Semicircle(n * k2, shift)


@dataclass(frozen=True)
class Ensemble:
    """sample(n, rng) -> a symmetric matrix (n, n); law(n) -> its limiting law at this ratio n/m."""

    sample: Callable[[int, np.random.Generator], Array]
    law: Callable[[int], Law]


# The pairs of `universality` Fig. 4.
ENSEMBLES = {
    "GOE": Ensemble(goe, lambda n: GOE_LAW),
    "UWig": Ensemble(uniform_wigner, lambda n: GOE_LAW),
    "GammaWig": Ensemble(gamma_wigner, lambda n: GOE_LAW),
    "UWish": Ensemble(uniform_wishart, wishart_law),
    "Wish": Ensemble(wishart, wishart_law),
}


def _columns(n: int, ratio: float) -> int:
    if not ratio > 0:
        raise ValueError(f"wishart: the ratio n / m must be positive, not {ratio}")
    return max(1, round(n / ratio))


def _symmetric(entries: Array) -> Array:
    """The upper triangle and its mirror image: the entries stay as they were drawn."""
    return np.triu(entries) + np.triu(entries, 1).T


def _mean_of_transposes(matrix: Array) -> Array:
    return (matrix + matrix.T) / 2
