"""H0 and H1 of untrained ReLU autoencoders on whitened grey images (`geometry` figures 3 to 5).

x -> C^(-1/2) (x - mean), C the covariance of all images, so that the features of a random image are
uncorrelated with unit variance; targets are the inputs. phi = 2 n / m for n hidden units, m images.

Each unit's rescaling (w, v) -> (c w, v / c) leaves a ReLU network's outputs as they are: H0 has one
null direction per unit, exactly, and its spectral gap is the smallest eigenvalue beyond these.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hessian_rmt.errors import UserError
from hessian_rmt.geometry.laws import residual_law
from hessian_rmt.geometry.networks import Networks
from hessian_rmt.rmt.law import Law
from hessian_rmt.seeds import derive_seed

Array = NDArray[np.float64]
GRID = 400
LEVELS = (2.5, 97.5)


def whitened(images: NDArray[Any]) -> Array:
    """Images (N, channels, h, w) as grey, whitened features (h w, N) in float64.

    Raises UserError where a combination of pixels is constant, which no scale makes white.
    """
    pixels = np.asarray(images, float).mean(axis=1).reshape(len(images), -1)
    pixels -= pixels.mean(axis=0)
    values, vectors = np.linalg.eigh(pixels.T @ pixels / len(pixels))
    if values[0] <= 1e-10 * values[-1]:
        raise UserError(
            "these images cannot be whitened: their pixels are linearly dependent; take a smaller "
            "image_size or more images"
        )
    return (vectors / np.sqrt(values)) @ (vectors.T @ pixels.T)


def autoencoders(
    features: Array, examples: int, hidden: int, count: int, rng: np.random.Generator
) -> tuple[Networks, Array]:
    """`count` untrained networks, each with its own `examples` of the `features` (n, N), and their
    parameters. Raises UserError where there are too few images."""
    if examples > features.shape[1]:
        raise UserError(
            f"{examples} examples are asked for, but there are {features.shape[1]} images; lower "
            "examples or raise images"
        )
    chosen = [rng.choice(features.shape[1], size=examples, replace=False) for _ in range(count)]
    inputs = np.stack([features[:, some] for some in chosen])
    networks = Networks(inputs, inputs, hidden, "relu")
    return networks, networks.initial(rng)


def residual_spectra(
    features: Array,
    *,
    hidden: int,
    examples: Sequence[int],
    energy: float,
    samples: int,
    replicates: int,
    seed: int,
) -> dict[str, Any]:
    """Figure 3: H1 with residuals N(0, 2 energy), beside the law of (28), for each of `examples`.

    For each m: "m/eigenvalues" (samples, P), "m/grid", "m/density", "m/distance" (Kolmogorov's, of
    all eigenvalues to the law), "m/null_distances" (replicates,) of the same networks with standard
    normal inputs, and "m/p_value", whether images are further from the law than these.
    """
    statistics: dict[str, Any] = {"hidden": hidden, "energy": energy}
    for m in examples:
        rng = np.random.default_rng(derive_seed(seed, "residual_spectra", m))
        law = residual_law(energy, 2 * hidden / m)
        images = autoencoders(features, m, hidden, samples, rng)
        values = noise_spectra(*images, energy, rng)
        null = []
        for _ in range(replicates):
            normal = rng.standard_normal((samples, len(features), m))
            networks = Networks(normal, normal, hidden, "relu")
            null.append(distance(noise_spectra(networks, networks.initial(rng), energy, rng), law))
        found = distance(values, law)
        low, high = law.support[0][0], law.support[-1][1]
        grid = np.linspace(1.02 * low, 1.02 * high, GRID + 1)
        statistics |= {
            f"{m}/eigenvalues": values,
            f"{m}/grid": grid,
            f"{m}/density": law.density(grid),
            f"{m}/distance": found,
            f"{m}/null_distances": np.array(null),
            f"{m}/p_value": (1 + np.sum(np.array(null) >= found)) / (1 + replicates),
        }
    return statistics


def gauss_newton_spectra(
    features: Array, *, hidden: int, examples: int, samples: int, seed: int
) -> dict[str, Any]:
    """Figure 4: H0. "eigenvalues" (samples, P) ascending, "zeros": how many of the first are exact
    null directions (one per unit), "floor": where round-off ends, as (samples,)."""
    rng = np.random.default_rng(derive_seed(seed, "gauss_newton_spectra"))
    networks, theta = autoencoders(features, examples, hidden, samples, rng)
    values = np.linalg.eigvalsh(networks.hessian_parts(theta)[0])
    return {
        "eigenvalues": values,
        "zeros": hidden,
        "floor": round_off(values),
        "examples": examples,
    }


@dataclass(frozen=True)
class GapFit:
    """gap = variance (1 - sqrt(phi))^2, the edge of (8); reduced chi squared of the means."""

    variance: float
    interval: tuple[float, float]
    chi_squared: float


def spectral_gaps(
    features: Array, *, hidden: int, examples: Sequence[int], samples: int, seed: int
) -> dict[str, Any]:
    """Figure 5: the smallest eigenvalue of H0 beyond its exact zeros, against phi.

    "phi" (k,), "gaps" and "zeros" (k, samples), and the fit of one variance: "variance", "interval"
    (2,) at 95 %, "chi_squared" per degree of freedom. There are more zeros than units where a unit
    is off for all examples, or on for too few.
    """
    gaps, zeros = [], []
    for m in examples:
        rng = np.random.default_rng(derive_seed(seed, "spectral_gaps", m))
        networks, theta = autoencoders(features, m, hidden, samples, rng)
        values = np.linalg.eigvalsh(networks.hessian_parts(theta)[0])
        count = (values <= round_off(values)[:, None]).sum(axis=1)
        gaps.append(values[np.arange(samples), count])
        zeros.append(count)
    phi, table = 2 * hidden / np.array(examples), np.array(gaps)
    fit = fit_gap(phi, table, seed=derive_seed(seed, "fit_gap"))
    return {
        "phi": phi,
        "gaps": table,
        "zeros": np.array(zeros),
        "variance": fit.variance,
        "interval": np.array(fit.interval),
        "chi_squared": fit.chi_squared,
    }


def fit_gap(phi: ArrayLike, gaps: ArrayLike, *, bootstrap: int = 2000, seed: int = 0) -> GapFit:
    """Least squares of the means of `gaps` (k, runs), all alike, so that a small gap's small error
    does not decide alone where the law is not exact; runs resampled for the interval."""
    edge, table = (1 - np.sqrt(np.asarray(phi, float))) ** 2, np.asarray(gaps, float)
    rng = np.random.default_rng(seed)
    mean, error = table.mean(axis=1), table.std(axis=1, ddof=1) / np.sqrt(table.shape[1])
    weight = edge / np.sum(edge**2)
    variance = weight @ mean
    chosen = rng.integers(table.shape[1], size=(bootstrap, *table.shape))
    means = np.take_along_axis(table[None], chosen, axis=2).mean(axis=2)
    low, high = np.percentile(means @ weight, LEVELS)
    rest = np.sum(((mean - variance * edge) / error) ** 2)
    return GapFit(float(variance), (float(low), float(high)), float(rest / max(len(edge) - 1, 1)))


def round_off(values: Any) -> Any:
    """The size (B,) below which eigenvalues (B, P) of a symmetric matrix are not told from zero."""
    return 10 * np.finfo(float).eps * values.shape[1] * np.abs(values).max(axis=1)


def distance(values: ArrayLike, law: Law) -> float:
    """sup |F_n - F| of all `values` together."""
    x = np.sort(np.ravel(values))
    expected = law.cdf(x)
    above = np.arange(1, x.size + 1) / x.size - expected
    return float(max(above.max(), (1 / x.size - above).max()))


def noise_spectra(
    networks: Networks, theta: Array, energy: float, rng: np.random.Generator
) -> Array:
    """Eigenvalues (B, n1 (n0 + n2)) of ReLU networks' H1 with residuals N(0, 2 energy).

    By (23) no two units share a block: they are plus and minus the singular values of the units'
    matrices x 1(z_a > 0) e^T / m, and zeros where n0 and n2 differ.
    """
    x, n1, m = networks.inputs, networks.hidden, networks.inputs.shape[2]
    noise = np.sqrt(2 * energy) * rng.standard_normal(networks.targets.shape)
    first = theta[:, : n1 * x.shape[1]].reshape(len(x), n1, -1)
    active = ((first @ x) > 0)[:, :, None] * x[:, None]
    blocks = active @ np.swapaxes(noise, 1, 2)[:, None] / m
    singular = np.linalg.svd(blocks, compute_uv=False).reshape(len(x), -1)
    zeros = np.zeros((len(x), networks.parameters - 2 * singular.shape[1]))
    return np.sort(np.concatenate([-singular, zeros, singular], axis=1), axis=1)
