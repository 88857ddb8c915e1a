"""Critical points of many networks at once: minimise J = |grad L|^2 (`geometry` 6.4).

`descent` is the paper's way: gradient descent on J, grad J = 2 H g by a Hessian-vector product,
over all parameters; here with the step lengths of Barzilai and Borwein. `newton` is of second
order: with the second layer eliminated, g = grad F and S = hess F, Levenberg-Marquardt steps

    (S^2 + lambda |g| I) p = -S g.

J has local minima that are no zeros: there S g = 0, g is in the null space of S, and the loss is
flat along g to second order. A run that ends in one is no critical point, however small J is.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, lapack

from hessian_rmt.errors import UserError
from hessian_rmt.geometry.elimination import Eliminated
from hessian_rmt.geometry.networks import Networks

Array = NDArray[np.float64]
State = dict[str, Any]

RUNNING, CRITICAL, FLAT, CAPPED = range(4)
STATUS = ("running", "critical", "flat", "capped")

# Networks whose Hessians are formed together, and numbers (networks x hidden units x examples) that
# a step of descent touches together; more would leave the processor's cache.
BLOCK = 2
ACTIVATIONS_AT_ONCE = 2**14
# S g is zero against |g| and |S| beyond which a run counts as flat.
FLATNESS = 1e-7
TRIES = 12  # of the damping, before a run counts as flat
LEAST_GAIN = 1e-4  # of the gain that the linear model predicts
MEMORY = 10  # descent may not exceed the largest of that many last values of J


@dataclass(frozen=True)
class CriticalPoints:
    """What a search found, run by run.

    `theta` (B, P), `loss` (B,), `gradient_squared` = |grad L|^2 (B,), `steps` (B,), `status` (B,)
    as numbered in STATUS; `accepted_theta` (B, P), `accepted_steps`: where J first fell below
    `accept` (nan and -1 where it never did).
    """

    theta: Array
    loss: Array
    gradient_squared: Array
    steps: NDArray[np.int64]
    status: NDArray[np.int64]
    accepted_theta: Array
    accepted_steps: NDArray[np.int64]


class Starts(NamedTuple):
    """Parameters at a random energy on the way down; `capped` where it was not reached."""

    theta: Array
    initial_loss: Array
    wanted_loss: Array
    loss: Array
    capped: NDArray[np.bool_]


def descend_to_random_loss(
    networks: Networks, theta: Array, uniform: Array, *, learning_rate: float, max_steps: int
) -> Starts:
    """Gradient descent on L from `theta` (B, P) until L <= `uniform` (B,) times its first value.

    A loss below what descent reaches would never stop it: after `max_steps` a run is capped.
    """
    theta = theta.copy()
    initial = networks.loss(theta)
    wanted = uniform * initial
    capped = np.zeros(networks.count, bool)
    for live in _blocks(networks, np.arange(networks.count)):
        active = networks.take(live)
        for step in range(max_steps + 1):
            loss, gradient = active.loss_and_gradient(theta[live])
            going = loss > wanted[live]
            if not going.all():
                live, gradient = live[going], gradient[going]
                active = networks.take(live)
            if step == max_steps or not live.size:
                break
            theta[live] -= learning_rate * gradient
        capped[live] = True
    return Starts(theta, initial, wanted, networks.loss(theta), capped)


def _blocks(networks: Networks, index: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """`index` cut into networks that descend together."""
    size = max(1, ACTIVATIONS_AT_ONCE // (networks.hidden * networks.inputs.shape[2]))
    return [index[start : start + size] for start in range(0, index.size, size)]


def find_critical_points(
    networks: Networks,
    theta: Array,
    *,
    method: str = "newton",
    tolerance: float = 1e-12,
    accept: float = 1e-6,
    max_steps: int = 100,
    state: State | None = None,
    on_state: Callable[[State], None] | None = None,
    every: int = 10,
    track: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> CriticalPoints:
    """Search from `theta` (B, P) with all networks together; finished ones leave the batch.

    A run ends when |grad L|^2 < `tolerance`, where J is flat, or after `max_steps`. `on_state` is
    given the state, a dictionary of arrays, after each `every` steps: a search that is started
    again with such a `state` goes on from there and gives the same numbers to the bit. `track`
    wraps the steps, for a progress bar.

    Raises UserError for an unknown method, a state of other runs, and `newton` with fewer examples
    than hidden units.
    """
    if method not in _METHODS:
        raise UserError(f"there is no method {method!r}; take one of {', '.join(_METHODS)}")
    search = _METHODS[method](networks, tolerance, accept)
    if state is None:
        state = search.begin(theta)
    elif len(state["status"]) != networks.count:
        raise UserError(
            f"the saved state is of {len(state['status'])} runs, but these are {networks.count}"
        )
    for step in track(_until(max_steps, state)):
        search.advance(state, np.flatnonzero(state["status"] == RUNNING))
        if on_state is not None and (step + 1) % every == 0:
            on_state(state)
    state["status"][state["status"] == RUNNING] = CAPPED
    return search.result(state)


def _until(max_steps: int, state: State) -> Iterator[int]:
    """Steps still to take: a run's own count is the number of sweeps it was part of."""
    for step in range(int(state["steps"].max(initial=0)), max_steps):
        if not (state["status"] == RUNNING).any():
            return
        yield step


def _common(shape: tuple[int, int]) -> State:
    return {
        "status": np.full(shape[0], RUNNING),
        "steps": np.zeros(shape[0], np.int64),
        "accepted": np.full(shape, np.nan),
        "accepted_steps": np.full(shape[0], -1),
    }


def _note(
    state: State, live: Any, objective: Array, x: Array, tolerance: float, accept: float
) -> None:
    """Record the first fall below `accept`, and end the runs below `tolerance`."""
    first = (objective < accept) & (state["accepted_steps"][live] < 0)
    state["accepted"][live[first]] = x[first]
    state["accepted_steps"][live[first]] = state["steps"][live[first]]
    state["status"][live[objective < tolerance]] = CRITICAL


class _Newton:
    """State: W1 (B, n1 n0) as "x", "damping" lambda."""

    def __init__(self, networks: Networks, tolerance: float, accept: float) -> None:
        self.networks, self.tolerance, self.accept = networks, tolerance, accept

    def begin(self, theta: Array) -> State:
        hidden, examples = self.networks.hidden, self.networks.inputs.shape[2]
        if examples < hidden:
            raise UserError(
                f"newton eliminates the second layer, for which {examples} examples are too few "
                f"beside {hidden} hidden units; use the method descent"
            )
        x = Eliminated(self.networks).first_layer(theta)
        state = _common(x.shape) | {"x": x, "damping": np.ones(len(x))}
        gradient = Eliminated(self.networks).at(x).gradient
        everyone = np.arange(len(x))
        _note(state, everyone, _squared(gradient), x, self.tolerance, self.accept)
        return state

    def advance(self, state: State, live: NDArray[np.intp]) -> None:
        for start in range(0, live.size, BLOCK):
            self._advance(state, live[start : start + BLOCK])

    def _advance(self, state: State, live: NDArray[np.intp]) -> None:
        """One step of each run in `live`; a run for which no damping gives one is flat."""
        eliminated = Eliminated(self.networks.take(live))
        x, damping = state["x"][live], state["damping"][live]
        at = eliminated.at(x)
        hessian = eliminated.hessian(at)
        objective = _squared(at.gradient)
        slope = _times(hessian, at.gradient)
        scale = np.sqrt(objective * np.einsum("zij,zij->z", hessian, hessian))
        pending = np.sqrt(_squared(slope)) > FLATNESS * scale
        state["status"][live[~pending]] = FLAT
        squares = [blas.dsyrk(1.0, h.T) for h in hessian]  # upper triangles
        for _ in range(TRIES):
            index = np.flatnonzero(pending)
            if not index.size:
                break
            steps = np.stack(
                [
                    _levenberg(squares[i], slope[i], damping[i] * np.sqrt(objective[i]))
                    for i in index
                ]
            )
            trial = Eliminated(eliminated.networks.take(index)).at(x[index] + steps)
            reached = _squared(trial.gradient)
            linear = at.gradient[index] + _times([hessian[i] for i in index], steps)
            gain = (objective[index] - reached) / (objective[index] - _squared(linear))
            gain[~np.isfinite(gain)] = -1
            good = gain > LEAST_GAIN
            damping[index] *= np.where(gain < 0.25, 2.0, np.where(gain > 0.75, 1 / 3, 1.0))
            x[index[good]] += steps[good]
            objective[index[good]] = reached[good]
            pending[index[good]] = False
        state["status"][live[pending]] = FLAT
        state["x"][live], state["damping"][live] = x, damping
        state["steps"][live] += 1
        _note(state, live, objective, x, self.tolerance, self.accept)

    def result(self, state: State) -> CriticalPoints:
        eliminated = Eliminated(self.networks)
        theta = eliminated.parameters(eliminated.at(state["x"]))
        accepted = np.full(theta.shape, np.nan)
        known = np.flatnonzero(state["accepted_steps"] >= 0)
        if known.size:
            some = Eliminated(self.networks.take(known))
            accepted[known] = some.parameters(some.at(state["accepted"][known]))
        return _result(self.networks, theta, accepted, state)


class _Descent:
    """State: all parameters "x" (B, P), "step_length", the last values of J in "past"."""

    def __init__(self, networks: Networks, tolerance: float, accept: float) -> None:
        self.networks, self.tolerance, self.accept = networks, tolerance, accept
        self._taken: tuple[NDArray[np.intp], list[tuple[NDArray[np.intp], Networks]]] | None = None

    def begin(self, theta: Array) -> State:
        _, gradient, product = self.networks.gradient_and_product(theta)
        objective = _squared(gradient)
        state = _common(theta.shape) | {
            "x": theta.copy(),
            "slope": 2 * product,
            "step_length": np.full(len(theta), 1e-2),
            "past": np.repeat(objective[:, None], MEMORY, axis=1),
        }
        everyone = np.arange(len(theta))
        _note(state, everyone, objective, theta, self.tolerance, self.accept)
        return state

    def advance(self, state: State, live: NDArray[np.intp]) -> None:
        if self._taken is None or not np.array_equal(self._taken[0], live):
            blocks = _blocks(self.networks, live)
            self._taken = live, [(block, self.networks.take(block)) for block in blocks]
        for block, networks in self._taken[1]:
            self._advance(state, block, networks)

    def _advance(self, state: State, live: NDArray[np.intp], networks: Networks) -> None:
        x, slope, length = (state[key][live] for key in ("x", "slope", "step_length"))
        steepness = _squared(slope)
        move = -length[:, None] * slope
        x += move
        _, gradient, product = networks.gradient_and_product(x)
        objective = _squared(gradient)
        product *= 2
        good = objective <= state["past"][live].max(axis=1) - 1e-4 * length * steepness
        change = product - slope
        curvature = np.einsum("zi,zi->z", move, change)
        turn = state["steps"][live] % 2 == 0
        with np.errstate(divide="ignore", invalid="ignore"):
            long, short = length**2 * steepness / curvature, curvature / _squared(change)
        barzilai_borwein = np.where(curvature > 0, np.where(turn, long, short), 2 * length)
        state["step_length"][live] = np.where(
            good, np.clip(barzilai_borwein, 1e-4, 1e4), 0.3 * length
        )
        newest = state["steps"][live] % MEMORY
        bad = np.flatnonzero(~good)
        x[bad], product[bad] = state["x"][live[bad]], slope[bad]
        objective[bad] = state["past"][live[bad], newest[bad] - 1]
        state["x"][live], state["slope"][live] = x, product
        state["past"][live, newest] = objective
        state["steps"][live] += 1
        _note(state, live, objective, x, self.tolerance, self.accept)

    def result(self, state: State) -> CriticalPoints:
        return _result(self.networks, state["x"], state["accepted"], state)


_METHODS: dict[str, Any] = {"newton": _Newton, "descent": _Descent}


def _levenberg(square: Array, slope: Array, damping: float) -> Array:
    """-(S^2 + damping)^-1 S g from the upper triangle of S^2; nan where it is not definite."""
    matrix = square.copy(order="F")
    matrix.ravel(order="K")[:: len(matrix) + 1] += damping
    factor, problem = lapack.dpotrf(matrix, overwrite_a=1)
    if problem:
        return np.full_like(slope, np.nan)
    solution, _ = lapack.dpotrs(factor, slope)
    return -solution


def _times(matrices: Iterable[Array], vectors: Array) -> Array:
    """Matrix times vector, pair by pair, without a copy of the matrices."""
    return np.stack([matrix @ vector for matrix, vector in zip(matrices, vectors, strict=True)])


def _squared(rows: Array) -> Array:
    return np.einsum("zi,zi->z", rows, rows)


def _result(networks: Networks, theta: Array, accepted: Array, state: State) -> CriticalPoints:
    loss, gradient = networks.loss_and_gradient(theta)
    return CriticalPoints(
        theta,
        loss,
        _squared(gradient),
        state["steps"],
        state["status"],
        accepted,
        state["accepted_steps"],
    )
