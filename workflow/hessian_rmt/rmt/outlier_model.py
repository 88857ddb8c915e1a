"""lambda_b^(i) = theta_i + alpha b^-v + beta b^-2v (1/theta_i + gamma/theta_i^2).

`universality` (2.33): the outliers of a batch Hessian against the batch size b. The true Hessian's
are theta_1 > ... > theta_k > 0, the noise has first moment alpha and second cumulant beta >= 0, and
gamma is the strength of the true Hessian's bulk. The fit minimises (2.34),

    E = sum_{i,b} (mean over seeds of lambda_b^(i) - model)^2,

which is linear in w = (alpha, beta gamma, beta), so that E(theta, v) = min_w E (2.37) is a problem
in p = (theta, v) alone. Its gradient is the partial derivative at fixed w, its Hessian the Schur
complement E_pp - E_pw E_ww^-1 E_wp.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hessian_rmt.errors import UserError

Array = NDArray[np.float64]

GRID = tuple(round(0.1 * n, 1) for n in range(1, 10))  # the paper prints -0.1 ... -0.9, see errata
EXPONENT_BOUNDS = (0.05, 2.0)
BEYOND = (1.2, 0.05, 1.6, 2.0)  # where the continuous exponent starts as well
METHODS = ("variable_projection", "adam")
# w's entries that a form leaves free, in the order alpha, beta gamma, beta. With beta last in a QR
# factorisation the fit without beta is the same triangular system less its last row.
COLUMNS = {"full": (0, 1, 2), "half": (0, 1, 2), "semicircle": (2,)}
GRID_STEPS, FINAL_STEPS = 40, 200
CHUNK = 500  # bootstrap replicates fitted at once
ADAM_STEPS, ADAM_RATE, PENALTY = 200, 0.2, 1000.0
SMALLEST_GAP = 1e-6  # of theta, relative to the eigenvalues: the closed side of theta_i > theta_i+1


@dataclass(frozen=True)
class OutlierFit:
    """A fit of (2.33) to k outliers, see `fit_outliers`; theta has shape (k,), the rest is scalar.

    gamma is nan where beta = 0: that is the limit in which `beta_gamma` stays finite.
    r_squared is taken about each outlier's own mean over batch sizes, so that theta alone explains
    nothing: 0 is "constant in b". relative_rmse is the root mean square of residual over mean.
    aic = n log mse + 2 p for Gaussian errors, with n = n_batch_sizes k points.

    chi_squared sums the squared residuals over the variance of the mean over seeds, less the part
    that a small change of the parameters would remove: least squares is unweighted, so with a
    spread that depends on b the plain sum exceeds the degrees of freedom even for a true model. The
    estimated variances are scaled by (s - 1)/(s - 3), s the number of seeds, the mean of F(1, s-1),
    so that a true model has one per degree of freedom; nan for s <= 3. Outliers of one batch are
    correlated, which keeps the mean of chi-squared but widens its law: no exact p-value.

    intervals holds (low, high) of theta, alpha, beta, gamma, exponent and mse, the 2.5 and 97.5
    percentiles of the bootstrap (gamma's over the replicates with beta > 0); empty without one.
    """

    theta: Array
    alpha: float
    beta: float
    gamma: float
    beta_gamma: float
    exponent: float
    mse: float
    r_squared: float
    relative_rmse: float
    chi_squared: float
    degrees_of_freedom: int
    aic: float
    intervals: dict[str, tuple[Array, Array]]
    grid_exponents: Array
    grid_mse: Array
    form: str
    method: str

    def predict(self, batch_sizes: ArrayLike) -> Array:
        """The curves at `batch_sizes` (n,), as (n, k)."""
        w = np.array([self.alpha, self.beta_gamma, self.beta])
        return _curves(np.log(np.asarray(batch_sizes, float)), self.theta, self.exponent, w)


def outlier_model(
    batch_sizes: ArrayLike,
    theta: ArrayLike,
    alpha: float,
    beta: float,
    gamma: float,
    exponent: float,
) -> Array:
    """(2.33) at `batch_sizes` (n,) for the outliers `theta` (k,), as (n, k)."""
    log_b = np.log(np.asarray(batch_sizes, float))
    return _curves(log_b, np.asarray(theta, float), exponent, np.array([alpha, beta * gamma, beta]))


def fit_outliers(
    batch_sizes: ArrayLike,
    eigenvalues: ArrayLike,
    *,
    method: str = "variable_projection",
    form: str = "full",
    exponents: Sequence[float] | None = None,
    bootstrap: int = 0,
    seed: int = 0,
) -> OutlierFit:
    """Fit (2.33) to `eigenvalues` (n_batch_sizes, n_seeds, k), outliers descending.

    method: "variable_projection" finds the constrained least-squares solution by Newton's method;
    "adam" is the paper's procedure (Appendix B.2, B.3): 200 steps of Adam from 20 random starts for
    each exponent, 1000 max(0, -beta) added to the mean squared error. The paper ran the starts one
    at a time, here they run side by side. It works on the data as they are, so unlike the former it
    depends on the eigenvalues' unit.
    form: "full" (2.33); "half", the same with exponent 1/2; "semicircle" (2.32), exponent 1/2 and
    alpha = gamma = 0.
    exponents: the values to choose from, for the full form. The default is 0.1, ..., 0.9, for
    variable projection followed by a continuous exponent in [0.05, 2] started from each of them.
    bootstrap: the number of replicates for `intervals`; each resamples the seeds with replacement
    at each batch size, keeps the outliers of a batch together, and is fitted anew, exponent
    included. seed: of the bootstrap and of Adam's starts.

    Raises UserError for data that the model cannot be fitted to, ValueError for an unknown option.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}, not one of {', '.join(METHODS)}")
    if form not in COLUMNS:
        raise ValueError(f"form is {form!r}, not one of {', '.join(COLUMNS)}")
    if form != "full" and exponents is not None:
        raise ValueError(f"form {form!r} fixes the exponent to 1/2, so exponents must be None")
    grid = np.asarray([0.5] if form != "full" else GRID if exponents is None else exponents, float)
    continuous = form == "full" and exponents is None and method == "variable_projection"
    if grid.ndim != 1 or not grid.size or not np.all((grid > 0) & (grid <= 5)):
        raise UserError("the exponents of an outlier fit must be a list of numbers in (0, 5]")
    n_parameters = len(COLUMNS[form]) + int(grid.size > 1)
    b, data = _checked(batch_sizes, eigenvalues, n_parameters, form)
    n_parameters += data.shape[2]
    means = data.mean(1)
    rng = np.random.default_rng(seed)

    if method == "adam":
        fits = _adam(np.log(b), means, grid, COLUMNS[form], rng)
        refits = [
            _best(_adam(np.log(b), resampled, grid, COLUMNS[form], rng))
            for resampled in _resampled(data, bootstrap, rng)
        ]
        solution, replicates = _best(fits), _joined(refits) if refits else None
    else:
        # In units of the data every tolerance is relative, and the geometric mean of the batch
        # sizes as the unit of b brings alpha and beta near one for every exponent.
        unit = float(np.sqrt(np.mean(means**2)))
        centre = float(np.mean(np.log(b)))
        log_b = np.log(b) - centre
        tried = np.concatenate([grid, BEYOND]) if continuous else grid
        fits = _fit_grid(log_b, means / unit, tried, COLUMNS[form])
        solution = _refit(log_b, means[None] / unit, fits, continuous, COLUMNS[form])
        replicates = None
        if bootstrap:
            # every other exponent will do, since the point estimate is a good start as well
            starts = fits
            if continuous:
                starts = _joined([solution, _Solutions(*(values[::2] for values in fits))])
            resampled = _resampled(data, bootstrap, rng) / unit
            replicates = _refit(log_b, resampled, starts, continuous, COLUMNS[form])
            replicates = replicates.in_units(unit, centre)
        fits, solution = fits.in_units(unit, centre), solution.in_units(unit, centre)

    theta, exponent, w, _ = (values[0] for values in solution)
    fitted = _curves(np.log(b), theta, exponent, w)
    residuals = means - fitted
    mse = float(np.mean(residuals**2))
    variation = float(np.sum((means - means.mean(0)) ** 2))
    return OutlierFit(
        theta=theta,
        alpha=float(w[0]),
        beta=float(w[2]),
        gamma=float(_ratio(w[1], w[2])),
        beta_gamma=float(w[1]),
        exponent=float(exponent),
        mse=mse,
        r_squared=1 - mse * means.size / variation if variation else float("nan"),
        relative_rmse=float(np.sqrt(np.mean((residuals / means) ** 2))),
        chi_squared=_chi_squared(np.log(b), data, solution, COLUMNS[form], grid.size > 1),
        degrees_of_freedom=means.size - n_parameters,
        aic=means.size * float(np.log(max(mse, 1e-300))) + 2 * n_parameters,
        intervals={} if replicates is None else _percentiles(replicates),
        grid_exponents=grid,
        grid_mse=fits.mse[: grid.size],
        form=form,
        method=method,
    )


class _Solutions(NamedTuple):
    """Many fits: theta (P, k), exponent (P,), w = (alpha, beta gamma, beta) (P, 3), mse (P,)."""

    theta: Array
    exponent: Array
    w: Array
    mse: Array

    def in_units(self, unit: float, centre: float) -> "_Solutions":
        """From lambda / unit against log b - centre to lambda against log b."""
        shift = np.exp(self.exponent * centre)
        scale = np.stack([unit * shift, unit**3 * shift**2, unit**2 * shift**2], axis=-1)
        return _Solutions(unit * self.theta, self.exponent, self.w * scale, unit**2 * self.mse)


def _joined(solutions: Sequence[_Solutions]) -> _Solutions:
    return _Solutions(*map(np.concatenate, zip(*solutions, strict=True)))


def _best(solutions: _Solutions, groups: int = 1) -> _Solutions:
    """In each of `groups` consecutive blocks the fit of lowest mse, those with beta >= 0 first."""
    mse, infeasible = (a.reshape(groups, -1) for a in (solutions.mse, solutions.w[:, 2] < 0))
    chosen = np.lexsort((mse, infeasible))[:, 0] + mse.shape[1] * np.arange(groups)
    return _Solutions(*(values[chosen] for values in solutions))


def _ratio(numerator: ArrayLike, denominator: ArrayLike) -> Array:
    """numerator / denominator, nan where the denominator is 0."""
    denominator = np.asarray(denominator, float)
    return np.divide(numerator, np.where(denominator == 0, np.nan, denominator))


def _curves(log_b: Array, theta: Array, exponent: ArrayLike, w: Array) -> Array:
    """(2.33) for theta (..., k), exponent (...), w (..., 3) at log_b (n,), as (..., n, k)."""
    x = np.exp(-np.multiply.outer(exponent, log_b))[..., None]
    alpha, delta, beta = (w[..., None, None, j] for j in range(3))
    theta = theta[..., None, :]
    return theta + alpha * x + x**2 * (beta / theta + delta / theta**2)


def _checked(
    batch_sizes: ArrayLike, eigenvalues: ArrayLike, n_linear: int, form: str
) -> tuple[Array, Array]:
    b, data = np.asarray(batch_sizes, float), np.asarray(eigenvalues, float)
    if data.ndim != 3 or b.shape != data.shape[:1] or not data.size:
        raise UserError(
            f"outliers of shape {data.shape} at batch sizes of shape {b.shape} cannot be fitted; "
            "give (n_batch_sizes, n_seeds, k) and (n_batch_sizes,)"
        )
    if not np.all(np.isfinite(b) & (b > 0)):
        raise UserError("the batch sizes of an outlier fit must be positive and finite")
    if not np.all(np.isfinite(data)):
        raise UserError(
            "the outliers to be fitted contain NaN or infinity; leave those batches out"
        )
    n_sizes, _, k = data.shape
    if k < 2 and form != "semicircle":
        raise UserError(
            "one outlier cannot tell beta from gamma; fit two or more, or the form 'semicircle'"
        )
    if len(np.unique(b)) < 2 or n_sizes * k < n_linear + k:
        raise UserError(
            f"{k} outliers at {n_sizes} batch sizes are too few points for a fit with "
            f"{n_linear + k} parameters; measure at more batch sizes"
        )
    means = data.mean(1)
    if np.any(means <= 0) or np.any(np.diff(means, axis=1) > 0):
        raise UserError(
            "the outliers' means over seeds must be positive and descending at each batch size, "
            "since the model has theta_1 > ... > theta_k > 0; sort them or fit fewer"
        )
    return b, data


def _resampled(data: Array, replicates: int, rng: np.random.Generator) -> Array:
    """Means over seeds drawn anew at each batch size, (replicates, n_batch_sizes, k)."""
    n_sizes, n_seeds, _ = data.shape
    drawn = rng.integers(n_seeds, size=(replicates, n_sizes, n_seeds))
    weights = (drawn[..., None] == np.arange(n_seeds)).mean(2)
    return np.einsum("rbs,bsk->rbk", weights, data)


def _percentiles(replicates: _Solutions) -> dict[str, tuple[Array, Array]]:
    alpha, delta, beta = replicates.w.T
    samples = {
        "theta": replicates.theta,
        "alpha": alpha,
        "beta": beta,
        "gamma": _ratio(delta, beta),
        "exponent": replicates.exponent,
        "mse": replicates.mse,
    }
    intervals = {}
    for name, values in samples.items():
        known = values[~np.isnan(values)] if values.ndim == 1 else values
        ends = np.percentile(known, [2.5, 97.5], axis=0) if len(known) else np.full(2, np.nan)
        intervals[name] = (np.asarray(ends[0]), np.asarray(ends[1]))
    return intervals


def _chi_squared(
    log_b: Array, data: Array, solution: _Solutions, columns: tuple[int, ...], any_exponent: bool
) -> float:
    """Weighted sum of squared residuals after one linearised weighted fit, see OutlierFit."""
    n_seeds, k = data.shape[1:]
    variance = data.var(1, ddof=1) / n_seeds if n_seeds > 3 else np.zeros(1)
    if not np.all(variance > 0):
        return float("nan")
    theta, exponent, w, _ = (values[0] for values in solution)
    x = np.exp(-exponent * log_b)[:, None]
    slope = 1 - x**2 * (w[2] / theta**2 + 2 * w[1] / theta**3)
    design = [x + 0 * theta, x**2 / theta**2, x**2 / theta]
    jacobian = [slope * (np.arange(k) == i) for i in range(k)] + [design[j] for j in columns]
    if any_exponent:
        jacobian.append(
            -log_b[:, None] * (w[0] * design[0] + 2 * (w[1] * design[1] + w[2] * design[2]))
        )
    residual = data.mean(1) - _curves(log_b, theta, exponent, w)
    weight = np.sqrt((n_seeds - 3) / (n_seeds - 1) / variance).ravel()
    basis = np.linalg.qr(weight[:, None] * np.stack(jacobian, -1).reshape(-1, len(jacobian))).Q
    weighted = weight * residual.ravel()
    return float(np.sum((weighted - basis @ (basis.T @ weighted)) ** 2))


# Variable projection -----------------------------------------------------------------------------


def _fit_grid(log_b: Array, means: Array, grid: Array, columns: tuple[int, ...]) -> _Solutions:
    """The best fit at each exponent of `grid` to `means` (n, k), from several starts of theta."""
    theta = np.concatenate([_starts(log_b, means, exponent) for exponent in grid])
    exponent = np.repeat(grid, len(theta) // len(grid))
    tiled = np.broadcast_to(means, (len(theta), *means.shape))
    fits = _minimise(log_b, tiled, theta, exponent, False, columns, GRID_STEPS)
    return _best(fits, len(grid))


def _refit(
    log_b: Array, means: Array, starts: _Solutions, continuous: bool, columns: tuple[int, ...]
) -> _Solutions:
    """The best fit to each of `means` (B, n, k) from `starts` (P,), the exponent kept or free."""
    n, best = len(starts.mse), []
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
        best.append(_best(fits, len(chunk)))
    return _joined(best)


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
    return _thetas(gaps)


def _thetas(gaps: Array) -> Array:
    """theta_i = sum of gaps_j over j >= i."""
    return np.cumsum(gaps[..., ::-1], axis=-1)[..., ::-1]


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
    theta, exponent = _thetas(p[:, :k]), p[:, k:]
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
) -> _Solutions:
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
    return _Solutions(_thetas(solved_p[:, :k]), solved_p[:, k], w, 2 * value / n_points)


# Adam, as in the paper ---------------------------------------------------------------------------


def _adam(
    log_b: Array,
    means: Array,
    grid: Array,
    columns: tuple[int, ...],
    rng: np.random.Generator,
    restarts: int = 20,
) -> _Solutions:
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
    return _best(_Solutions(_thetas(np.logaddexp(0, raw)), exponent, w, mse), len(grid))


def _penalised(
    x: Array, means: Array, raw: Array, columns: tuple[int, ...]
) -> tuple[Array, Array, Array]:
    """Gradient of mse + 1000 max(0, -beta) in `raw` (P, k), and the w (P, 3) and mse (P,) there.

    theta_i = sum over j >= i of softplus(raw_j) (B.2 corrected), w from (2.37) unconstrained.
    """
    theta = _thetas(np.logaddexp(0, raw))
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
