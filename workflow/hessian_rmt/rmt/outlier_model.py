"""lambda_b^(i) = theta_i + alpha b^-v + beta b^-2v (1/theta_i + gamma/theta_i^2).

`universality` (2.33): the outliers of a batch Hessian against the batch size b. The true Hessian's
are theta_1 > ... > theta_k > 0, the noise has first moment alpha and second cumulant beta >= 0, and
gamma is the strength of the true Hessian's bulk. The fit minimises (2.34),

    E = sum_{i,b} (mean over seeds of lambda_b^(i) - model)^2,

which is linear in w = (alpha, beta gamma, beta) for given theta and v.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hessian_rmt.errors import UserError
from hessian_rmt.rmt.outlier_adam import adam_fits
from hessian_rmt.rmt.outlier_curves import Array, Solutions, best, curves, joined
from hessian_rmt.rmt.outlier_projection import BEYOND, fit_grid, refit

GRID = tuple(round(0.1 * n, 1) for n in range(1, 10))  # the paper prints -0.1 ... -0.9, see errata
METHODS = ("variable_projection", "adam")
# w's entries that a form leaves free, in the order alpha, beta gamma, beta. With beta last in a QR
# factorisation the fit without beta is the same triangular system less its last row.
COLUMNS = {"full": (0, 1, 2), "half": (0, 1, 2), "semicircle": (2,)}


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
    Ten seeds are few for it: on simulated data its intervals covered alpha and the exponent in 83
    to 88 % of the cases, with twenty seeds in 90 to 93 %.
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
        return curves(np.log(np.asarray(batch_sizes, float)), self.theta, self.exponent, w)


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
    return curves(log_b, np.asarray(theta, float), exponent, np.array([alpha, beta * gamma, beta]))


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
        fits = adam_fits(np.log(b), means, grid, COLUMNS[form], rng)
        refits = [
            best(adam_fits(np.log(b), resampled, grid, COLUMNS[form], rng))
            for resampled in _resampled(data, bootstrap, rng)
        ]
        solution, replicates = best(fits), joined(refits) if refits else None
    else:
        # In units of the data every tolerance is relative, and the geometric mean of the batch
        # sizes as the unit of b brings alpha and beta near one for every exponent.
        unit = float(np.sqrt(np.mean(means**2)))
        centre = float(np.mean(np.log(b)))
        log_b = np.log(b) - centre
        tried = np.concatenate([grid, BEYOND]) if continuous else grid
        fits = fit_grid(log_b, means / unit, tried, COLUMNS[form])
        solution = refit(log_b, means[None] / unit, fits, continuous, COLUMNS[form])
        replicates = None
        if bootstrap:
            # every other exponent will do, since the point estimate is a good start as well
            starts = fits
            if continuous:
                starts = joined([solution, Solutions(*(values[::2] for values in fits))])
            resampled = _resampled(data, bootstrap, rng) / unit
            replicates = refit(log_b, resampled, starts, continuous, COLUMNS[form])
            replicates = replicates.in_units(unit, centre)
        fits, solution = fits.in_units(unit, centre), solution.in_units(unit, centre)

    theta, exponent, w, _ = (values[0] for values in solution)
    fitted = curves(np.log(b), theta, exponent, w)
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


def _ratio(numerator: ArrayLike, denominator: ArrayLike) -> Array:
    """numerator / denominator, nan where the denominator is 0."""
    denominator = np.asarray(denominator, float)
    return np.divide(numerator, np.where(denominator == 0, np.nan, denominator))


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


def _percentiles(replicates: Solutions) -> dict[str, tuple[Array, Array]]:
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
    log_b: Array, data: Array, solution: Solutions, columns: tuple[int, ...], any_exponent: bool
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
    residual = data.mean(1) - curves(log_b, theta, exponent, w)
    weight = np.sqrt((n_seeds - 3) / (n_seeds - 1) / variance).ravel()
    basis = np.linalg.qr(weight[:, None] * np.stack(jacobian, -1).reshape(-1, len(jacobian))).Q
    weighted = weight * residual.ravel()
    return float(np.sum((weighted - basis @ (basis.T @ weighted)) ** 2))
