"""R_H = R_(H_0) + R_(H_1): laws of the Hessian H = H_0 + H_1 at energy epsilon (`geometry` (14)).

H_0 = J J^T / m is the Gauss-Newton part, H_1 the part that the residuals N(0, 2 epsilon) multiply;
phi = 2 n / m is the ratio of parameters to effective examples. Both models take H_0 and H_1 as
free, and H_0 as Wishart; they differ in H_1:

                 R_(H_0)(y) = sigma / (1 - sigma phi y)                Marchenko-Pastur
    simplified   R_(H_1)(y) = 2 epsilon y                              semicircle (16); (17), (18)
    refined      R_(H_1)(y) = epsilon phi y / (2 - epsilon phi^2 y^2)  ReLU (28); (29), (30)

sigma is a standard deviation in `geometry` (6) and in the sentence before (7), a variance in
(7), (8), (29) and (32). Here it is a variance everywhere: H_0 = X X^T with X (N, p) of
variance sigma / p, phi = N / p, so that its mean eigenvalue is sigma. The semicircle of (15), with
(6)'s sqrt(2 epsilon), has variance 2 epsilon.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from hessian_rmt.rmt.ensembles import goe, wishart
from hessian_rmt.rmt.free_convolution import free_additive_convolution, product_wishart
from hessian_rmt.rmt.law import Array, Complex, Law
from hessian_rmt.rmt.laws import MarchenkoPastur, Semicircle

Model = Literal["simplified", "refined"]
MODELS: tuple[Model, ...] = ("simplified", "refined")


def gauss_newton_law(ratio: float, variance: float = 1.0) -> MarchenkoPastur:
    """The law of H_0, `geometry` (7), (8), with phi = `ratio` and sigma = `variance` > 0."""
    return MarchenkoPastur(ratio, variance)


def residual_law(energy: float, ratio: float, *, model: Model = "refined") -> Law:
    """The law of H_1 at `energy` epsilon > 0 and phi = `ratio` > 0.

    refined: a ReLU network with one hidden layer, `geometry` (26)-(28). H_1 is the off-diagonal
    block matrix of e x^T / m, where e and x (n, m / 2) have independent entries of variance
    2 epsilon and 1 (half of the m examples pass each unit) and phi = 2 n / m. Symmetric, with
    variance epsilon phi / 2 and, for phi > 1, an atom 1 - 1 / phi at zero.
    `variance` of data other than 1 multiplies epsilon.

    simplified: the semicircle of variance 2 epsilon, `geometry` (15). Raises ValueError for an
    energy or ratio that is not positive, or an unknown model.
    """
    if not (energy > 0 and ratio > 0):
        raise ValueError(f"residual_law: energy and ratio must be positive, not {energy}, {ratio}")
    check_model(model)
    return Semicircle(2 * energy) if model == "simplified" else product_wishart(energy, ratio)


def hessian_law(
    energy: float, ratio: float, *, model: Model = "simplified", variance: float = 1.0
) -> Law:
    """The law of H = H_0 + H_1, the free sum: `geometry` (17) or (29).

    `energy` epsilon >= 0, `ratio` phi > 0, `variance` the sigma of H_0 (module docstring). At
    energy 0 it is the law of H_0. Raises ValueError.
    """
    check_model(model)
    first = gauss_newton_law(ratio, variance)
    if energy == 0:
        return first
    return free_additive_convolution(first, residual_law(energy, ratio, model=model))


def hessian_polynomial(
    z: ArrayLike, energy: float, ratio: float, *, model: Model = "simplified", variance: float = 1.0
) -> Complex:
    """Coefficients, highest power first, of the polynomial that has the root G_H(z).

    The cubic `geometry` (18) or the quartic (30); shape z.shape + (4,) or z.shape + (5,). With
    `variance` sigma, (18) reads
    2 e s phi G^3 - (2 e + s phi z) G^2 + (z + s (phi - 1)) G - 1 = 0.
    """
    check_model(model)
    z = np.asarray(z)
    e, phi, sigma = energy, ratio, variance
    if model == "simplified":
        terms = [
            np.full_like(z, 2 * e * sigma * phi),
            -(2 * e + sigma * phi * z),
            z + sigma * (phi - 1),
            np.full_like(z, -1),
        ]
    else:
        terms = [
            z * e * sigma * phi**3,
            -e * phi**2 * (z + sigma * (phi - 2)),
            -phi * (2 * sigma * z + e * (1 - phi)),
            2 * (z - sigma * (1 - phi)),
            np.full_like(z, -2),
        ]
    return np.stack(terms, axis=-1)


def cubic_density(x: ArrayLike, energy: float, ratio: float, *, variance: float = 1.0) -> Array:
    """The density of the simplified model at real `x` from the roots of (18), energy > 0.

    A real cubic has one pair of complex roots at most, so G(x + i0) is the one below the real line:
    no branch needs to be followed.
    """
    points = np.asarray(x, float)
    coefficients = hessian_polynomial(points, energy, ratio, variance=variance)
    return polynomial_roots(coefficients).imag.max(-1) / np.pi


def polynomial_roots(coefficients: ArrayLike) -> Complex:
    """The roots (..., d) of polynomials (..., d + 1), highest power first and not zero."""
    monic = np.asarray(coefficients)
    monic = monic[..., 1:] / monic[..., :1]
    degree = monic.shape[-1]
    companion = np.zeros((*monic.shape, degree), monic.dtype)
    companion[..., 0, :] = -monic
    companion[..., range(1, degree), range(degree - 1)] = 1
    return np.linalg.eigvals(companion).astype(complex)


def sample_hessian(
    size: int,
    energy: float,
    ratio: float,
    rng: np.random.Generator,
    *,
    model: Model = "simplified",
    variance: float = 1.0,
) -> Array:
    """One random matrix H_0 + H_1 (size, size) of the model, with Gaussian entries.

    refined: one block of H_1 of (23), whose other blocks repeat its eigenvalues; size even. Its
    ratio is rounded as `sampled_ratio` says.
    """
    check_model(model)
    gauss_newton = variance * wishart(size, rng, ratio=ratio)
    if model == "simplified":
        return gauss_newton + (4 * energy) ** 0.5 * goe(size, rng)
    if size % 2:
        raise ValueError(f"sample_hessian: the refined model needs an even size, not {size}")
    half = size // 2
    passed = round(half / ratio)  # m / 2
    residuals = (2 * energy) ** 0.5 * rng.standard_normal((half, passed))
    block = residuals @ rng.standard_normal((half, passed)).T / (2 * passed)
    hessian = gauss_newton
    hessian[:half, half:] += block
    hessian[half:, :half] += block.T
    return hessian


def sampled_ratio(size: int, ratio: float) -> float:
    """The ratio phi that a sampled matrix has: columns are whole numbers.

    Raises ValueError where the two parts of the refined model would round differently.
    """
    columns = round(size / ratio)
    if columns != 2 * round(size // 2 / ratio):
        raise ValueError(f"no whole number of columns at size {size} and ratio {ratio:g}")
    return size / columns


def check_model(model: str) -> None:
    if model not in MODELS:
        raise ValueError(f"model must be one of {', '.join(MODELS)}, not {model!r}")
