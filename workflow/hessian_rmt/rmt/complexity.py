"""The complexity of a loss surface from measured Hessian spectra (`universality` (4.16), (4.17)).

The number of critical points of the batch loss L_true + s(b) V in a region of n-dimensional weight
space has the mean int dw p_w(0) E|det H|, with p_w the density of the gradient. The paper's sign
criterion (4.17) keeps int log|lambda| dmu_H alone. As printed it is minus infinity wherever the
spectrum has an atom at 0, and its sign flips when the loss is rescaled: L -> c L adds log c.

(4.16) has phi_w, the density of grad V, for p_w; but p_w(0) = s^-n phi_w(-grad L_true / s), and

    (1/n) log(p_w(0) E|det H|) = int log|lambda| dmu_H - log s + (1/n) log phi_w(-grad L_true / s)

does not change with c. Here phi_w is taken as Gaussian, s(b) = b^(-1/2), with the covariance C of
the gradients of single examples: (1/n) log phi = -(log 2 pi + (log det C + b g^T C^-1 g) / n) / 2.
Both determinants are taken on the subspace where C is above round-off: flat directions, in which
neither gradient nor Hessian varies, hold no isolated critical points.

The result is a density per volume of weight space, so its sign still depends on the unit of the
weights; adding (1/n) log of a volume makes it a number of critical points. The column log_volume is
that of the ball with the weights' own norm.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import gammaln, stdtrit

from hessian_rmt.rmt.law import Array

COLUMNS = (
    "run",
    "label",
    "epoch",
    "part",
    "matrix",
    "batch_size",
    "matrices",
    "parameters",
    "signal",
    "printed",
    "printed_on_signal",
    "low",
    "high",
    "loss_scale_at_sign_flip",
    "invariant_dimension",
    "log_hessian",
    "minus_log_s",
    "log_gradient_density_at_0",
    "log_gradient_density",
    "invariant_at_0",
    "invariant",
    "log_volume",
    "data",
)
Row = dict[str, Any]


def log_integral(eigenvalues: Array) -> float:
    """int log|lambda| dmu as printed: minus infinity with an eigenvalue 0."""
    with np.errstate(divide="ignore"):
        return float(np.mean(np.log(np.abs(eigenvalues))))


def batches_row(eigenvalues: Array, signal: np.ndarray) -> Row:
    """(4.17) of exact batch spectra, eigenvalues (n, P) and whether each is signal (n, P).

    printed is that of all eigenvalues, exact zeros included; the interval of printed_on_signal is
    Student's over batches.
    """
    each = np.array([log_integral(x[kept]) for x, kept in zip(eigenvalues, signal, strict=True)])
    printed = log_integral(eigenvalues.ravel())
    mean, reach = float(each.mean()), float("nan")
    if len(each) > 1:
        reach = float(stdtrit(len(each) - 1, 0.975) * each.std(ddof=1) / np.sqrt(len(each)))
    return {
        "matrix": "batch Hessian",
        "matrices": len(each),
        "parameters": eigenvalues.shape[1],
        "signal": float(signal.sum(1).mean()),
        "printed": printed,
        "printed_on_signal": mean,
        "low": mean - reach,
        "high": mean + reach,
        "loss_scale_at_sign_flip": float(np.exp(-mean)),
    }


def noise_row(table: Mapping[str, Any]) -> Row:
    """The full Hessian of a noise file (`curvature.noise`): the training split is the batch.

    printed and printed_on_signal are of all its eigenvalues and of those above round-off. What
    follows is taken on the subspace of invariant_dimension where the gradient noise is above
    round-off too.
    """
    b, parameters = int(table["examples"]), int(table["parameters"])
    eigenvalues = table["true_eigenvalues"]
    floor = np.finfo(float).eps * len(eigenvalues) * np.abs(eigenvalues).max()
    kept = eigenvalues[np.abs(eigenvalues) > floor]
    value = log_integral(kept)
    prefix = "complexity/"
    at = {k.removeprefix(prefix): v for k, v in table.items() if k.startswith(prefix)}
    n = int(at["dimension"])
    log_hessian = float(at["log_determinant_hessian"]) / n
    at_zero, density = gradient_density(
        n, b, float(at["log_determinant_gradient"]), float(at["gradient_quadratic"])
    )
    return {
        "part": "train",
        "matrix": "full Hessian",
        "batch_size": b,
        "matrices": 1,
        "parameters": parameters,
        "signal": len(kept),
        "printed": float("-inf") if len(kept) < parameters else value,
        "printed_on_signal": value,
        "loss_scale_at_sign_flip": float(np.exp(-value)),
        "invariant_dimension": n,
        "log_hessian": log_hessian,
        "minus_log_s": 0.5 * float(np.log(b)),
        "log_gradient_density_at_0": at_zero,
        "log_gradient_density": density,
        "invariant_at_0": log_hessian + 0.5 * float(np.log(b)) + at_zero,
        "invariant": log_hessian + 0.5 * float(np.log(b)) + density,
        "log_volume": log_ball_volume(n, float(at["weight_norm"])) / n,
    }


def gradient_density(
    n: int, batch_size: float, log_determinant: float, quadratic: float
) -> tuple[float, float]:
    """(1/n) log phi at 0 and at -grad L_true / s, for a Gaussian phi and s = b^(-1/2)."""
    at_zero = -0.5 * (float(np.log(2 * np.pi)) + log_determinant / n)
    return at_zero, at_zero - 0.5 * batch_size * quadratic / n


def log_ball_volume(n: int, radius: float) -> float:
    """Of a ball in n dimensions."""
    return float(n / 2 * np.log(np.pi) - gammaln(n / 2 + 1) + n * np.log(radius))


def table_rows(rows: Sequence[Row]) -> list[list[Any]]:
    """In the order of `COLUMNS`, empty where a column does not apply."""
    return [[row.get(column, "") for column in COLUMNS] for row in rows]
