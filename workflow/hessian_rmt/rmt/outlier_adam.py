"""The paper's own fit of the outlier model: Adam (`universality` App. B.2, B.3)."""

import numpy as np

from hessian_rmt.rmt.outlier_curves import Array, Solutions, best, thetas

ADAM_STEPS, ADAM_RATE, PENALTY = 200, 0.2, 1000.0


def adam_fits(
    log_b: Array,
    means: Array,
    grid: Array,
    columns: tuple[int, ...],
    rng: np.random.Generator,
    restarts: int = 20,
) -> Solutions:
    """The best of `restarts` runs of Adam at each exponent of `grid`, all side by side."""
    exponent = np.repeat(grid, restarts)
    x = np.exp(-exponent[:, None] * log_b)[:, :, None]
    raw = rng.standard_normal((len(exponent), means.shape[1]))
    first, second = np.zeros_like(raw), np.zeros_like(raw)
    for step in range(1, ADAM_STEPS + 1):
        gradient = _penalised(x, means, raw, columns)[0]
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        corrected = np.sqrt(second / (1 - 0.999**step)) + 1e-8
        raw = raw - ADAM_RATE * first / (1 - 0.9**step) / corrected
    _, w, mse = _penalised(x, means, raw, columns)
    return best(Solutions(thetas(np.logaddexp(0, raw)), exponent, w, mse), len(grid))


def _penalised(
    x: Array, means: Array, raw: Array, columns: tuple[int, ...]
) -> tuple[Array, Array, Array]:
    """Gradient of mse + 1000 max(0, -beta) in `raw` (P, k), and the w (P, 3) and mse (P,) there.

    theta_i = sum over j >= i of softplus(raw_j) (B.2 corrected), w from (2.37) unconstrained.
    """
    theta = thetas(np.logaddexp(0, raw))
    u, xx = 1 / theta[:, None], x * x
    target = (means - theta[:, None]).reshape(len(raw), -1, 1)
    terms = (x + 0 * u, xx * u**2, xx * u)
    design = np.stack([terms[j] for j in columns], -1).reshape(len(raw), -1, len(columns))
    norm = np.sqrt(np.sum(design**2, 1))
    design = design / norm[:, None]
    gram = design.mT @ design + 1e-14 * np.eye(len(columns))  # solvable when theta_i coincide
    sides = np.concatenate([design.mT @ target, np.zeros((len(raw), len(columns), 1))], 2)
    sides[:, -1, 1] = 1 / norm[:, -1]
    solved = np.linalg.solve(gram, sides)
    r = (target - design @ solved[:, :, :1]).reshape(len(raw), *means.shape)
    dual = (design @ solved[:, :, 1:]).reshape(r.shape)
    w, p = np.zeros((2, len(raw), 3))
    w[:, columns] = solved[:, :, 0] / norm
    p[:, columns] = solved[:, :, 1] / norm

    d_theta = 1 - xx * (w[:, 2, None] * u[:, 0] ** 2 + 2 * w[:, 1, None] * u[:, 0] ** 3)[:, None]
    # beta = e^T (A^T A)^-1 A^T y: d beta = p^T dA^T r + (A p)^T (dy - dA w) with p = (A^T A)^-1 e
    dp = p[:, 2, None] * u[:, 0] ** 2 + 2 * p[:, 1, None] * u[:, 0] ** 3
    d_beta = -np.sum(r * xx, 1) * dp - np.sum(dual * d_theta, 1)
    gradient = -2 / means.size * np.sum(r * d_theta, 1) - PENALTY * (w[:, 2:] < 0) * d_beta
    gradient = np.cumsum(gradient, 1) / (1 + np.exp(-raw))
    return gradient, w, np.mean(r**2, (1, 2))
