"""One hidden layer, no biases, mean squared error (`geometry` (1)-(4)); many networks at once.

    y^ = W2 f(W1 x),   e = y^ - y,   L = n2 epsilon = sum e^2 / (2 m),   H = H0 + H1,
    H0 = J J^T / m (3),   H1 = (1/m) sum e d^2 y^ / d theta^2 (4).

With z = W1 x, h = f(z), delta = W2^T e, K_(ab) mu = f'(z)_a mu x_b mu and theta = (W1, W2), both
row by row, the blocks are

    H0_11 = (W2^T W2)_aa' (K K^T)_(ab)(a'b') / m      H1_11 = d_aa' sum delta f'' x_b x_b' / m
    H0_12 = W2_ca (K h^T)_(ab) k / m                  H1_12 = d_ak (K e^T)_(ab) c / m
    H0_22 = d_cc' (h h^T)_kk' / m                     H1_22 = 0,

for rows (ab) of W1_ab and (ck) of W2_ck: matrix products of size n^2 by m, no differentiation.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hessian_rmt.errors import UserError

Array = NDArray[np.float64]


class Activation(NamedTuple):
    """f at z, and f', f'' from z and h = f(z); no f'' where it is zero almost everywhere."""

    value: Callable[[Array], Array]
    slope: Callable[[Array, Array], Array]
    bend: Callable[[Array, Array], Array] | None


ACTIVATIONS = {
    "tanh": Activation(np.tanh, lambda z, h: 1 - h * h, lambda z, h: -2 * h * (1 - h * h)),
    "relu": Activation(lambda z: np.maximum(z, 0), lambda z, h: (z > 0).astype(float), None),
    "linear": Activation(lambda z: z, lambda z, h: np.ones_like(z), None),
}


class _Pass(NamedTuple):
    """What every derivative starts from."""

    first: Array
    second: Array
    z: Array
    h: Array
    slope: Array
    residuals: Array
    delta: Array


@dataclass(frozen=True)
class Networks:
    """B networks n0 - n1 - n2 in float64, each with its own m examples.

    `inputs` (B, n0, m), `targets` (B, n2, m), `hidden` = n1, `activation` a key of ACTIVATIONS.
    Parameters are arrays (B, P), P = n1 (n0 + n2): W1 row by row, then W2. `residuals` (B, n2, m),
    where given, take the place of y^ - y in H1 (`geometry`, footnote 4).
    """

    inputs: Array
    targets: Array
    hidden: int
    activation: str = "tanh"
    residuals: Array | None = None

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise UserError(
                f"there is no activation {self.activation!r}; take one of {', '.join(ACTIVATIONS)}"
            )
        shapes = self.inputs.shape, self.targets.shape
        if self.inputs.ndim != 3 or self.targets.ndim != 3 or shapes[0][::2] != shapes[1][::2]:
            raise UserError(
                "inputs and targets must have the shapes (networks, features, examples) with equal "
                f"first and last numbers, but have {shapes[0]} and {shapes[1]}"
            )

    @property
    def count(self) -> int:
        return self.inputs.shape[0]

    @property
    def outputs(self) -> int:
        return self.targets.shape[1]

    @property
    def parameters(self) -> int:
        return self.hidden * (self.inputs.shape[1] + self.outputs)

    def take(self, index: Any) -> "Networks":
        """The networks at `index` (a slice, mask or positions)."""
        noise = None if self.residuals is None else self.residuals[index]
        return replace(
            self, inputs=self.inputs[index], targets=self.targets[index], residuals=noise
        )

    def initial(self, rng: np.random.Generator) -> Array:
        """Weights N(0, 1 / inputs of the layer), (B, P)."""
        n0, n1, n2 = self.inputs.shape[1], self.hidden, self.outputs
        first = rng.standard_normal((self.count, n1 * n0)) / np.sqrt(n0)
        second = rng.standard_normal((self.count, n2 * n1)) / np.sqrt(n1)
        return np.concatenate([first, second], axis=1)

    def loss(self, theta: Array) -> Array:
        """L (B,); the energy of the paper is L / n2."""
        first, second = self._weights(theta)
        h = ACTIVATIONS[self.activation].value(first @ self.inputs)
        return self._loss(second @ h - self.targets)

    def loss_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """L (B,) and its gradient (B, P)."""
        at = self._pass(theta)
        return self._loss(at.residuals), self._gradient(at)

    def gradient_and_product(self, theta: Array, vector: Array | None = None) -> tuple[Array, ...]:
        """L (B,), gradient g (B, P) and H v (B, P); v is g where no `vector` is given."""
        at = self._pass(theta)
        gradient = self._gradient(at)
        v1, v2 = self._weights(gradient if vector is None else vector)
        dz = v1 @ self.inputs
        dh = at.slope * dz
        de = at.second @ dh
        de += v2 @ at.h
        ds = np.swapaxes(at.second, 1, 2) @ de
        ds += np.swapaxes(v2, 1, 2) @ at.residuals
        ds *= at.slope
        if (bend := ACTIVATIONS[self.activation].bend) is not None:
            bent = bend(at.z, at.h)
            bent *= at.delta
            bent *= dz
            ds += bent
        second = de @ np.swapaxes(at.h, 1, 2) + at.residuals @ np.swapaxes(dh, 1, 2)
        product = self._joined(ds @ np.swapaxes(self.inputs, 1, 2), second)
        return self._loss(at.residuals), gradient, product

    def hessian_parts(self, theta: Array) -> tuple[Array, Array]:
        """H0 and H1, each (B, P, P) and exactly symmetric."""
        at = self._pass(theta)
        h0, h1 = np.zeros((2, self.count, self.parameters, self.parameters))
        self._fill_h0(at, h0)
        residuals = at.residuals if self.residuals is None else self.residuals
        self._add_h1(at, residuals, h1)
        self._mirror(h0)
        self._mirror(h1)
        return h0, h1

    def hessian(self, theta: Array) -> Array:
        """H = H0 + H1, (B, P, P), in one array."""
        whole = np.empty((self.count, self.parameters, self.parameters))
        for z in range(self.count):  # one at a time: what is needed beside H stays in the cache
            part = slice(z, z + 1)
            one, out = self.take(part), whole[part]
            at = one._pass(theta[part])
            one._fill_h0(at, out)
            one._add_h1(at, at.residuals, out)
            one._mirror(out)
        return whole

    def _fill_h0(self, at: _Pass, out: Array) -> None:
        first, mixed, second = self._blocks(out)
        k, m = self._k(at), self.inputs.shape[2]
        inner = np.swapaxes(at.second, 1, 2) @ at.second / m
        gram = (k @ np.swapaxes(k, 1, 2)).reshape(first.shape)
        np.multiply(gram, inner[:, :, None, :, None], out=first)
        cross = (k @ np.swapaxes(at.h, 1, 2)).reshape(*first.shape[:3], 1, self.hidden)
        weights = np.swapaxes(at.second, 1, 2)[:, :, None, :, None] / m
        np.multiply(cross, weights, out=mixed)
        second[...] = 0
        np.einsum("zckcl->zckl", second)[...] = (at.h @ np.swapaxes(at.h, 1, 2) / m)[:, None]

    def _add_h1(self, at: _Pass, residuals: Array, out: Array) -> None:
        first, mixed, _ = self._blocks(out)
        m, x_t = self.inputs.shape[2], np.swapaxes(self.inputs, 1, 2)[:, None]
        if (bend := ACTIVATIONS[self.activation].bend) is not None:
            delta = np.swapaxes(at.second, 1, 2) @ residuals
            bent = delta * bend(at.z, at.h) / m
            np.einsum("zabac->zabc", first)[...] += (bent[:, :, None] * self.inputs[:, None]) @ x_t
        outer = self._k(at) @ np.swapaxes(residuals, 1, 2) / m
        unit = np.einsum("zabca->zabc", mixed)
        unit += outer.reshape(unit.shape)

    def _blocks(self, out: Array) -> tuple[Array, Array, Array]:
        """Views of the blocks 11, 12, 22 with one axis per index: abab, abck, ckck."""
        p, n0, n1, n2 = self._split, self.inputs.shape[1], self.hidden, self.outputs
        return (
            np.reshape(out[:, :p, :p], (-1, n1, n0, n1, n0), copy=False),
            np.reshape(out[:, :p, p:], (-1, n1, n0, n2, n1), copy=False),
            np.reshape(out[:, p:, p:], (-1, n2, n1, n2, n1), copy=False),
        )

    def _mirror(self, out: Array) -> None:
        p = self._split
        out[:, p:, :p] = np.swapaxes(out[:, :p, p:], 1, 2)

    def _k(self, at: _Pass) -> Array:
        b, _, m = self.inputs.shape
        return (at.slope[:, :, None] * self.inputs[:, None]).reshape(b, self._split, m)

    @property
    def _split(self) -> int:
        return self.hidden * self.inputs.shape[1]

    def _weights(self, theta: Array) -> tuple[Array, Array]:
        n0, n1 = self.inputs.shape[1], self.hidden
        first, second = theta[:, : n1 * n0], theta[:, n1 * n0 :]
        return first.reshape(-1, n1, n0), second.reshape(-1, self.outputs, n1)

    def _joined(self, first: Array, second: Array) -> Array:
        b, m = self.inputs.shape[::2]
        return np.concatenate([first.reshape(b, -1), second.reshape(b, -1)], axis=1) / m

    def _pass(self, theta: Array) -> _Pass:
        first, second = self._weights(theta)
        z = first @ self.inputs
        activation = ACTIVATIONS[self.activation]
        h = activation.value(z)
        residuals = second @ h - self.targets
        delta = np.swapaxes(second, 1, 2) @ residuals
        return _Pass(first, second, z, h, activation.slope(z, h), residuals, delta)

    def _gradient(self, at: _Pass) -> Array:
        x_t, h_t = np.swapaxes(self.inputs, 1, 2), np.swapaxes(at.h, 1, 2)
        return self._joined((at.delta * at.slope) @ x_t, at.residuals @ h_t)

    def _loss(self, residuals: Array) -> Array:
        return np.einsum("bim,bim->b", residuals, residuals) / (2 * residuals.shape[2])
