"""Variable projection for `universality` (2.34), batched over many problems.

E is linear in w = (alpha, beta gamma, beta), so that E(theta, v) = min_w E (2.37) is a problem in
p = (theta, v) alone. Its gradient is the partial derivative at fixed w, its Hessian the Schur
complement E_pp - E_pw E_ww^-1 E_wp.
"""

from typing import NamedTuple

import numpy as np

from hessian_rmt.rmt.outlier_curves import Array, Solutions, best, joined, thetas

EXPONENT_BOUNDS = (0.05, 2.0)
BEYOND = (1.2, 0.05, 1.6, 2.0)  # where the continuous exponent starts as well
GRID_STEPS, FINAL_STEPS = 40, 200
CHUNK = 500  # bootstrap replicates fitted at once
SMALLEST_GAP = 1e-6  # of theta, relative to the eigenvalues: the closed side of theta_i > theta_i+1


def fit_grid(log_b: Array, means: Array, grid: Array, columns: tuple[int, ...]) -> Solutions:
    """The best fit at each exponent of `grid` to `means` (n, k), from several starts of theta."""
    theta = np.concatenate([_starts(log_b, means, exponent) for exponent in grid])
    exponent = np.repeat(grid, len(theta) // len(grid))
    tiled = np.broadcast_to(means, (len(theta), *means.shape))
    fits = _minimise(log_b, tiled, theta, exponent, False, columns, GRID_STEPS)
    return best(fits, len(grid))


def refit(
    log_b: Array, means: Array, starts: Solutions, continuous: bool, columns: tuple[int, ...]
) -> Solutions:
    """The best fit to each of `means` (B, n, k) from `starts` (P,), the exponent kept or free."""
    n, chosen = len(starts.mse), []
    for i in range(0, len(means), CHUNK):  # to bound the memory
        chunk = means[i : i + CHUNK]
        fits = _minimise(
            log_b,
            np.repeat(chunk, n, axis=0),
            np.tile(starts.theta, (len(chunk), 1)),
            np.tile(starts.exponent, len(chunk)),
            continuous,
            columns,
        )
        chosen.append(best(fits, len(chunk)))
    return joined(chosen)


def _starts(log_b: Array, means: Array, exponent: float) -> Array:
    """Feasible guesses of theta (starts, k) at one exponent."""
    x = np.exp(-exponent * log_b)
    # exact without noise: every outlier gets its own coefficient of b^-2v
    pair = np.stack([np.ones_like(x), x**2], 1)
    basis = np.linalg.qr(pair).Q
    common = x - basis @ (basis.T @ x)
    alpha = common @ means.mean(1) / max(common @ common, 1e-300)
    intercept = np.linalg.lstsq(pair, means - alpha * x[:, None])[0][0]
    last = means[np.argmax(log_b)]
    guesses = np.stack([intercept, last, 0.5 * last, last - 0.9 * last[-1]])
    gaps = np.maximum(-np.diff(guesses, axis=1, append=0), 0.02 * last[-1])
    return thetas(gaps)


class _Reduced(NamedTuple):
    """E(p)/2 with w eliminated: value (P,), gradient (P, m), Hessian (P, m, m), the squared norms
    of the residuals' derivatives (P, m), and w (P, 3)."""

    value: Array
    gradient: Array
    hessian: Array
    scale: Array
    w: Array


def _reduced(log_b: Array, means: Array, p: Array, columns: tuple[int, ...]) -> _Reduced:
    """E / 2 as a function of p = (gaps, exponent) (P, k + 1), for `means` (P, n, k)."""
    n_problems, k = len(p), p.shape[1] - 1
    theta, exponent = thetas(p[:, :k]), p[:, k:]
    u = 1 / theta
    x = np.exp(-exponent * log_b)[:, :, None]
    xx = x * x
    # beta u + delta u^2 = beta (u - theta_k u^2) + (delta + beta theta_k) u^2 with u = 1/theta: the
    # k-th entry of the bracket is zero, so the two columns stay apart as theta_k goes to zero
    gap_column = u * (theta - theta[:, -1:]) * u if 1 in columns else u
    design = [np.broadcast_to(x, means.shape), xx * (u * u)[:, None], xx * gap_column[:, None]]
    stacked = np.stack([design[j] for j in columns], -1).reshape(n_problems, -1, len(columns))
    basis, triangle = np.linalg.qr(stacked)
    if 1 in columns:
        triangle[:, :, 2] += theta[:, -1:] * triangle[:, :, 1]
    target = (means - theta[:, None]).reshape(n_problems, -1)
    coordinates = np.einsum("pnc,pn->pc", basis, target)
    # beta is last: without its coordinate this is the exact minimum for beta = 0
    clipped = coordinates[:, -1] * triangle[:, -1, -1] <= 0
    coordinates[clipped, -1] = 0
    r = (target - np.matvec(basis, coordinates)).reshape(means.shape)
    inverse = np.linalg.inv(triangle)
    w = np.zeros((n_problems, 3))
    w[:, columns] = np.matvec(inverse, coordinates)
    alpha, delta, beta = w[:, :1], w[:, 1:2], w[:, 2:]

    # first derivatives of the model at fixed w: d_theta of its own outlier, and d_v
    h = beta * u**2 + 2 * delta * u**3
    d_theta = 1 - xx * h[:, None]
    quadratic = xx * (beta * u + delta * u**2)[:, None]
    linear = alpha[:, None] * x
    d_v = -log_b[:, None] * (linear + 2 * quadratic)
    basis = basis.reshape(*means.shape, len(columns))
    cross = np.empty((n_problems, k + 1, len(columns)))  # E_pw triangle^-1
    cross[:, :k] = np.einsum("pbi,pbic->pic", d_theta, basis)
    cross[:, k] = np.einsum("pbi,pbic->pc", d_v, basis)

    # second derivatives of the model against the residuals
    r_xx = np.einsum("pbi,pb->pi", r, xx[:, :, 0])
    r_log = r * log_b[:, None]
    r_log_xx = np.einsum("pbi,pb->pi", r_log, xx[:, :, 0])
    mixed = np.zeros((n_problems, k + 1, 3))
    mixed[:, :k, 1] = -2 * u**3 * r_xx
    mixed[:, :k, 2] = -(u**2) * r_xx
    mixed[:, k, 0] = -np.einsum("pbi,pb->p", r_log, x[:, :, 0])
    mixed[:, k, 1] = -2 * np.vecdot(r_log_xx, u**2)
    mixed[:, k, 2] = -2 * np.vecdot(r_log_xx, u)
    cross -= mixed[:, :, columns] @ inverse
    cross[clipped, :, -1] = 0

    scale = np.empty((n_problems, k + 1))
    scale[:, :k] = np.einsum("pbi,pbi->pi", d_theta, d_theta)
    scale[:, k] = np.einsum("pbi,pbi->p", d_v, d_v)
    hessian = -cross @ cross.mT
    diagonal = np.arange(k)
    hessian[:, diagonal, diagonal] += scale[:, :k] - r_xx * (2 * beta * u**3 + 6 * delta * u**4)
    v_theta = np.einsum("pbi,pbi->pi", d_theta, d_v) - 2 * h * r_log_xx
    hessian[:, :k, k] += v_theta
    hessian[:, k, :k] += v_theta
    curvature = log_b[:, None] * (linear + 4 * quadratic)
    hessian[:, k, k] += scale[:, k] - np.einsum("pbi,pbi->p", r_log, curvature)

    gradient = np.empty((n_problems, k + 1))
    gradient[:, :k] = -np.einsum("pbi,pbi->pi", d_theta, r)
    gradient[:, k] = -np.einsum("pbi,pbi->p", d_v, r)
    gaps = np.eye(k + 1)  # d theta_i / d gap_j is one for j >= i
    gaps[np.triu_indices(k)] = 1
    value = 0.5 * np.einsum("pbi,pbi->p", r, r)
    return _Reduced(value, gradient @ gaps, gaps.T @ hessian @ gaps, scale @ gaps, w)


def _minimise(
    log_b: Array,
    means: Array,
    theta: Array,
    exponent: Array,
    continuous: bool,
    columns: tuple[int, ...],
    max_steps: int = FINAL_STEPS,
) -> Solutions:
    """Damped Newton steps projected on the box of (gaps, exponent), all problems at once.

    A problem is done when its Newton decrement, the fall of E that the quadratic model promises, is
    1e-18 of E (the step is still taken) or round-off, or when no step lowers E any more. Usually
    that takes 10 to 20 steps. Only a descent into the corner theta_k-1 = theta_k = 0, found at
    exponents far too small for the data, is slow, and cut off at `max_steps`.
    """
    n_problems, k = theta.shape
    lower, upper = np.full(k + 1, SMALLEST_GAP), np.full(k + 1, 1 / SMALLEST_GAP)
    lower[k], upper[k] = EXPONENT_BOUNDS
    p = np.concatenate([-np.diff(theta, axis=1, append=0), exponent[:, None]], 1)
    p[:, :k] = np.maximum(p[:, :k], SMALLEST_GAP)
    solved_p, value, w = p.copy(), np.empty(n_problems), np.empty((n_problems, 3))
    left, round_off = np.arange(n_problems), 1e-32 * np.sum(means[0] ** 2)
    damping, growth = np.full(n_problems, 1e-3), np.full(n_problems, 4.0)
    with np.errstate(all="ignore"):  # a trial point that overflows is rejected
        now = _reduced(log_b, means, p, columns)
        for _ in range(max_steps):
            held = (p <= lower) & (now.gradient > 0) | (p >= upper) & (now.gradient < 0)
            held[:, k] |= not continuous
            # what has no effect on the residuals is held as well
            root = np.where(held | (now.scale == 0), 0, 1 / np.sqrt(now.scale))
            hessian = root[:, :, None] * now.hessian * root[:, None, :]
            eigenvalues, vectors = np.linalg.eigh(hessian)
            slope = np.einsum("pji,pj->pi", vectors, root * now.gradient)
            size = np.maximum(np.abs(eigenvalues), 1e-15)
            decrement = 0.5 * np.sum(slope**2 / size, 1)
            step = -root * np.einsum("pij,pj->pi", vectors, slope / (size + damping[:, None]))
            trial = np.where(held, p, np.clip(p + step, lower, upper))
            then = _reduced(log_b, means, trial, columns)
            better = then.value < now.value
            now = _Reduced(
                *(
                    np.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old)
                    for new, old in zip(then, now, strict=True)
                )
            )
            done = (decrement <= 1e-18 * now.value + round_off) | (damping > 1e8)
            done |= ~better & (decrement <= 1e-10 * now.value)
            p = np.where(better[:, None], trial, p)
            damping = np.where(better, 0.1 * damping, np.maximum(growth * damping, 1e-6))
            growth = np.where(better, 4.0, 2 * growth)
            if done.any():
                end, keep = left[done], ~done
                solved_p[end], value[end], w[end] = p[done], now.value[done], now.w[done]
                left, p, means = left[keep], p[keep], means[keep]
                damping, growth = damping[keep], growth[keep]
                now = _Reduced(*(a[keep] for a in now))
                if not left.size:
                    break
        solved_p[left], value[left], w[left] = p, now.value, now.w
    n_points = means.shape[1] * k
    return Solutions(thetas(solved_p[:, :k]), solved_p[:, k], w, 2 * value / n_points)
