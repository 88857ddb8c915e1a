"""Are H0 and H1 of a trained network free? `geometry` 5.2.1, figure 2.

If they are, the spectrum of H0 + H1 is, for large matrices, that of H0 + Q H1 Q^T, Q Haar. Spectra
are compared with the mean quantile function of the rotated ones by the Wasserstein distance W1,
which for equally many eigenvalues is the mean distance of the ordered ones; a rotated spectrum is
compared with the mean of the others, which gives the distances of free matrices of this size. Two
controls: H0 + H1 with H1 turned into H0's eigenvectors, both ascending, which commute; and, for the
size of what H1 does at all, H0 alone.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hessian_rmt.geometry.autoencoders import autoencoders
from hessian_rmt.geometry.critical_points import descend_to_random_loss
from hessian_rmt.geometry.networks import Networks
from hessian_rmt.rmt.ensembles import rotated
from hessian_rmt.seeds import derive_seed

Array = NDArray[np.float64]


def freeness_along_training(
    features: Array,
    *,
    hidden: int,
    examples: int,
    fractions: Sequence[float],
    learning_rate: float,
    max_steps: int,
    rotations: int,
    seed: int,
) -> dict[str, Any]:
    """One ReLU autoencoder, trained by gradient descent until its energy is each of `fractions` of
    the initial one (or for `max_steps`, then `capped`).

    "energy", "capped" and what `compare` gives, stacked over `fractions`.
    """
    rng = np.random.default_rng(derive_seed(seed, "freeness"))
    network, theta = autoencoders(features, examples, hidden, 1, rng)
    # copies of one network, each of which stops at its own energy on the same way down
    copies = Networks(
        np.repeat(network.inputs, len(fractions), axis=0),
        np.repeat(network.targets, len(fractions), axis=0),
        hidden,
        network.activation,
    )
    trained = descend_to_random_loss(
        copies,
        np.repeat(theta, len(fractions), axis=0),
        np.array(fractions),
        learning_rate=learning_rate,
        max_steps=max_steps,
    )
    first, second = copies.hessian_parts(trained.theta)
    compared = [compare(a, b, rotations, rng) for a, b in zip(first, second, strict=True)]
    return {name: np.array([each[name] for each in compared]) for name in compared[0]} | {
        "energy": trained.loss / network.outputs,
        "capped": trained.capped,
    }


def compare(h0: Array, h1: Array, rotations: int, rng: np.random.Generator) -> dict[str, Any]:
    """The spectrum of `h0` + `h1` against those of h0 + Q h1 Q^T, `rotations` of them.

    "sum" (P,), "rotated" (rotations, P), "distance" to the mean of all rotated spectra,
    "rotated_distances" (rotations,), "commuting_distance" and "alone_distance" of the controls,
    "p_value" by rank among the rotated, "spread": the standard deviation of H's eigenvalues, and
    "ratio" of the Frobenius norms of H1 and H0.
    """
    plain = np.linalg.eigvalsh(h0 + h1)
    turned = np.stack([np.linalg.eigvalsh(h0 + rotated(h1, rng)) for _ in range(rotations)])
    total = turned.sum(axis=0)
    mean = total / rotations
    own = [np.abs(row - (total - row) / (rotations - 1)).mean() for row in turned]
    first, second = np.linalg.eigvalsh(h0), np.linalg.eigvalsh(h1)
    found = np.abs(plain - mean).mean()
    return {
        "sum": plain,
        "rotated": turned,
        "distance": found,
        "rotated_distances": np.array(own),
        "commuting_distance": np.abs(np.sort(first + second) - mean).mean(),
        "alone_distance": np.abs(first - mean).mean(),
        "p_value": (1 + np.sum(np.array(own) >= found)) / (1 + rotations),
        "spread": plain.std(),
        "ratio": np.linalg.norm(h1) / np.linalg.norm(h0),
    }
