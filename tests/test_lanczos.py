"""Extreme eigenpairs against dense solvers; every number reported is certified by its residual."""

import copy
import warnings

import numpy as np
import pytest
import torch
from torch.nn import functional

from hessian_rmt.curvature import HessianOperator, top_eigenpairs
from hessian_rmt.networks.mlp import mlp

EPS = np.finfo(float).eps
SIDES = ["largest", "smallest", "both"]


class Dense:
    """A dense symmetric matrix as an operator; `single` rounds products to float32."""

    def __init__(self, matrix, *, single=False):
        self.matrix = torch.as_tensor(matrix, dtype=torch.float64)
        self.shape, self.products = tuple(self.matrix.shape), 0
        self.dtype = torch.float32 if single else torch.float64
        self.rounded = self.matrix.to(self.dtype)

    def matvec(self, v):
        assert v.shape == (self.shape[0],)
        assert v.dtype == torch.float64
        self.products += 1
        return (self.rounded @ v.to(self.dtype)).double()


def rotated(eigenvalues, seed=0):
    """A symmetric matrix with the given eigenvalues and random eigenvectors."""
    eigenvalues = np.asarray(eigenvalues, dtype=float)
    size = len(eigenvalues)
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))
    matrix = (q * eigenvalues) @ q.T
    return (matrix + matrix.T) / 2


def wigner(size, seed=0):
    matrix = np.random.default_rng(seed).standard_normal((size, size))
    return (matrix + matrix.T) / np.sqrt(2 * size)


def wishart(size, samples, seed=0):
    factor = np.random.default_rng(seed).standard_normal((size, samples))
    return factor @ factor.T / samples


def bulk(size, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, size)


MATRICES = {
    "wigner": wigner(200),
    "wishart": wishart(200, 400),
    "low rank and noise": wishart(200, 5) + 0.1 * wigner(200, 1),
    "indefinite outliers": rotated(np.r_[9, 8, 7, 6, 5, -5, -6, -7, -8, -9, bulk(190)]),
    "negative definite": -wishart(200, 400) - np.eye(200),
    "graded": rotated(10.0 ** np.linspace(-8, 8, 200)),
    "smaller than the basis": wigner(40),
}


def wanted(eigenvalues, k, which):
    """The exact eigenvalues asked for, descending."""
    descending, size = np.sort(eigenvalues)[::-1], len(eigenvalues)
    k = min(k, size)
    top, bottom = np.arange(k), np.arange(size - k, size)
    return descending[{"largest": top, "smallest": bottom, "both": np.union1d(top, bottom)}[which]]


def measured_residuals(matrix, pairs):
    return np.linalg.norm(matrix @ pairs.vectors - pairs.vectors * pairs.values, axis=0)


def check_certificates(matrix, pairs, *, slack=None):
    """What holds for any result, converged or not: order, orthonormality, residuals, enclosure."""
    matrix = np.asarray(matrix)
    eigenvalues = np.linalg.eigvalsh(matrix)
    scale = max(np.abs(eigenvalues).max(), np.finfo(float).tiny)
    slack = 200 * EPS * scale if slack is None else slack
    count = len(pairs.values)
    assert pairs.values.dtype == pairs.residuals.dtype == pairs.vectors.dtype == np.float64
    assert pairs.residuals.shape == (count,)
    assert pairs.vectors.shape == (len(matrix), count)
    assert (np.diff(pairs.values) <= 0).all()
    gram = pairs.vectors.T @ pairs.vectors
    np.testing.assert_allclose(gram, np.eye(count), rtol=0, atol=1e-12)
    assert (pairs.residuals >= 0).all()
    assert (measured_residuals(matrix, pairs) <= pairs.residuals + slack).all()
    nearest = np.abs(pairs.values[:, None] - eigenvalues).min(axis=1)
    assert (nearest <= pairs.residuals + slack).all()


def solve(matrix, k=5, **options):
    """Converged pairs of a dense matrix, all certificates checked."""
    operator = Dense(matrix)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pairs = top_eigenpairs(operator, k, vectors=True, **options)
    assert pairs.converged is True
    assert pairs.matvecs == operator.products
    check_certificates(matrix, pairs)
    return pairs


def check_values(matrix, pairs, k, which="largest"):
    """The eigenvalues are those asked for, none missed, within residuals and round-off."""
    eigenvalues = np.linalg.eigvalsh(matrix)
    exact = wanted(eigenvalues, k, which)
    assert pairs.values.shape == exact.shape
    limit = pairs.residuals.max() + 200 * EPS * np.abs(eigenvalues).max()
    np.testing.assert_allclose(pairs.values, exact, rtol=0, atol=limit)


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("which", SIDES)
@pytest.mark.parametrize("tol", [1e-5, 1e-10])
def test_agrees_with_the_dense_solver(name, which, tol):
    matrix = MATRICES[name]
    if name == "graded" and which != "largest":
        # Sixteen orders of magnitude below the norm nothing is left to be relative to.
        pytest.skip("see test_values_below_round_off_of_the_norm")
    pairs = solve(matrix, which=which, tol=tol)
    check_values(matrix, pairs, 5, which)
    assert (pairs.residuals <= tol * np.abs(pairs.values)).all()


@pytest.mark.parametrize("which", ["smallest", "both"])
@pytest.mark.parametrize("size", [40, 200])
@pytest.mark.filterwarnings("ignore:Lanczos stopped")
def test_values_below_round_off_of_the_norm(size, which):
    matrix = rotated(10.0 ** np.linspace(-8, 8, size))
    pairs = top_eigenpairs(Dense(matrix), 3, which=which, vectors=True, max_matvecs=400)
    check_certificates(matrix, pairs)


@pytest.mark.parametrize("name", ["wigner", "wishart", "indefinite outliers"])
@pytest.mark.parametrize("which", SIDES)
@pytest.mark.parametrize("k", [1, 4])
def test_restarts_lose_nothing(name, which, k):
    matrix = MATRICES[name]
    without = solve(matrix, k, which=which, tol=1e-10, basis_size=200)
    pairs = solve(matrix, k, which=which, tol=1e-10, basis_size=1)
    check_values(matrix, pairs, k, which)
    # A basis of 4 k + 8 vectors (8 k + 8 for two ends) was filled several times.
    ends = 2 if which == "both" else 1
    assert name == "indefinite outliers" or pairs.matvecs > 1.5 * (4 * ends * k + 8)
    np.testing.assert_allclose(pairs.values, without.values, rtol=0, atol=1e-12)
    # Residuals are those measured, not only bounds for them.
    np.testing.assert_allclose(
        pairs.residuals, measured_residuals(matrix, pairs), rtol=1e-3, atol=500 * EPS
    )


MULTIPLE = {
    "double": [5, 5, 4, 3, 2],
    "double below": [5, 4, 4, 3, 2],
    "triple": [5, 5, 5, 3],
    "triple, then double": [5, 5, 5, 4, 4, 3],
    "ninefold": [5] * 9,
    "k-th is double": [6, 5, 4, 3, 2, 2],
    "near the bulk": [1.5, 1.5, 1.4, 1.4, 1.3, 1.3],
    "two ends": [5, 5, 5, -5, -5, -5, 3, -3],
}


@pytest.mark.parametrize("name", MULTIPLE)
@pytest.mark.parametrize("which", ["largest", "both"])
@pytest.mark.parametrize("seed", [0, 1])
def test_multiple_eigenvalues_come_with_their_multiplicity(name, which, seed):
    matrix = rotated(np.r_[MULTIPLE[name], bulk(200)], seed)
    pairs = solve(matrix, which=which, tol=1e-9, seed=seed)
    check_values(matrix, pairs, 5, which)


def test_multiplicity_in_an_invariant_subspace():
    # Three distinct eigenvalues: a Krylov space of one vector has three dimensions.
    matrix = rotated(np.r_[[3.0] * 4, [1.0] * 50, [-2.0] * 6])
    for which in SIDES:
        check_values(matrix, solve(matrix, 6, which=which), 6, which)


@pytest.mark.parametrize("size", [500, 2000])
@pytest.mark.parametrize("ratio", [2.0, 1.5])
@pytest.mark.parametrize("seed", range(3))
def test_ninefold_eigenvalue_above_the_bulk(size, ratio, seed):
    check_ninefold(size, ratio, seed)


def test_ninefold_eigenvalue_close_above_the_bulk():
    for seed in range(4):
        check_ninefold(2000, 1.2, seed)


def check_ninefold(size, ratio, seed):
    class Diagonal:
        shape = (size, size)
        entries = torch.as_tensor(np.r_[[ratio] * 9, bulk(size - 9, seed)])

        def matvec(self, v):
            return self.entries * v

    pairs = top_eigenpairs(Diagonal(), 5, seed=seed)
    assert pairs.converged
    np.testing.assert_allclose(pairs.values, ratio, rtol=1e-5)


@pytest.mark.parametrize("tol", [1e-5, 1e-9])
@pytest.mark.parametrize("gap", [1e-6, 1e-10])
@pytest.mark.parametrize("which", ["largest", "both"])
def test_clusters(tol, gap, which):
    cluster = 5 + gap * np.arange(6)
    matrix = rotated(np.r_[cluster, -cluster, bulk(150)])
    check_values(matrix, solve(matrix, which=which, tol=tol), 5, which)
    matrix = rotated(np.r_[9, cluster, 2, bulk(150)])
    check_values(matrix, solve(matrix, 4, tol=tol), 4)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 59, 61, 100])
@pytest.mark.parametrize("which", SIDES)
@pytest.mark.parametrize("kind", ["zero", "identity", "minus identity", "rank one"])
def test_degenerate_matrices(size, which, kind):
    ones = np.ones((size, size)) / size
    matrix = {"zero": 0 * ones, "identity": np.eye(size), "minus identity": -np.eye(size)}.get(
        kind, ones
    )
    check_values(matrix, solve(matrix, 3, which=which), 3, which)


@pytest.mark.parametrize("size", [1, 2, 5, 12, 70])
@pytest.mark.parametrize("which", SIDES)
def test_as_many_pairs_as_the_matrix_has(size, which):
    matrix = wigner(size)
    for k in {max(1, size - 1), size, size + 3}:
        pairs = solve(matrix, k, which=which, tol=1e-9)
        check_values(matrix, pairs, k, which)
    # All pairs: an eigendecomposition.
    pairs = solve(matrix, size, which=which)
    rebuilt = (pairs.vectors * pairs.values) @ pairs.vectors.T
    np.testing.assert_allclose(rebuilt, matrix, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize(("basis_size", "tol"), [(None, 1e-5), (1, 1e-5), (None, 1e-8)])
def test_products_in_single_precision(name, basis_size, tol):
    matrix = MATRICES[name]
    operator = Dense(matrix, single=True)
    pairs = top_eigenpairs(operator, 3, tol=tol, basis_size=basis_size, vectors=True)
    assert pairs.converged
    rounded = operator.rounded.double().numpy()
    # One product in float32 has an error of some eps ||H||.
    noise = 4 * np.finfo(np.float32).eps * np.linalg.norm(rounded, 2)
    check_certificates(rounded, pairs, slack=noise)
    exact = wanted(np.linalg.eigvalsh(rounded), 3, "largest")
    np.testing.assert_allclose(pairs.values, exact, rtol=0, atol=pairs.residuals.max() + noise)


@pytest.mark.parametrize("basis_size", [None, 1])
@pytest.mark.filterwarnings("ignore:Lanczos stopped")
def test_asymmetry_is_in_the_residual(basis_size):
    asymmetric = MATRICES["indefinite outliers"].copy()
    asymmetric += 1e-4 * np.random.default_rng(0).standard_normal(asymmetric.shape)
    pairs = top_eigenpairs(
        Dense(asymmetric), 3, tol=1e-9, basis_size=basis_size, vectors=True, max_matvecs=150
    )
    # No vector is an eigenvector of the matrix and its transpose: the tolerance is out of reach.
    assert not pairs.converged
    measured = measured_residuals(asymmetric, pairs)
    assert (measured <= pairs.residuals + 1e-13).all()
    assert (measured > 1e-5).all()


@pytest.mark.parametrize("name", ["wigner", "wishart", "negative definite"])
@pytest.mark.parametrize("max_matvecs", [10, 14, 30])
@pytest.mark.parametrize("which", SIDES)
def test_too_few_products_are_told(name, max_matvecs, which):
    matrix, operator = MATRICES[name], Dense(MATRICES[name])
    with pytest.warns(RuntimeWarning, match=f"after {max_matvecs} products"):
        pairs = top_eigenpairs(
            operator, 5, which=which, tol=1e-12, max_matvecs=max_matvecs, vectors=True
        )
    assert pairs.converged is False
    assert pairs.matvecs == operator.products == max_matvecs
    check_certificates(matrix, pairs)
    assert pairs.residuals.max() > 1e-12 * np.abs(pairs.values).max()


@pytest.mark.parametrize("max_matvecs", [0, 1, 3])
def test_fewer_products_than_pairs(max_matvecs):
    # Fewer than k numbers would be broadcast into a table silently.
    with pytest.raises(ValueError, match="max_matvecs"):
        top_eigenpairs(Dense(MATRICES["wigner"]), 5, max_matvecs=max_matvecs)


@pytest.mark.parametrize(
    "matvecs_more",
    [0, 1, 9],
)
def test_an_unfinished_check_of_multiplicity_is_not_convergence(matvecs_more):
    matrix = rotated(np.r_[5, 5, 5, 4, 3, bulk(200)])
    enough = top_eigenpairs(Dense(matrix), 3, check_multiplicity=False).matvecs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pairs = top_eigenpairs(Dense(matrix), 3, max_matvecs=enough + matvecs_more)
    if pairs.converged:
        np.testing.assert_allclose(pairs.values, 5, rtol=1e-5)


def test_exact_start_vectors_save_products():
    matrix = MATRICES["wigner"]
    eigenvalues, eigenvectors = np.linalg.eigh(matrix)
    for k in (1, 5):
        cold = solve(matrix, k)
        for order in (slice(None), slice(None, None, -1)):
            warm = solve(matrix, k, start=eigenvectors[:, -k:][:, order])
            np.testing.assert_allclose(warm.values, eigenvalues[::-1][:k], rtol=0, atol=1e-13)
            assert warm.matvecs <= k + 20 < cold.matvecs
            bare = solve(matrix, k, start=eigenvectors[:, -k:], check_multiplicity=False)
            assert bare.matvecs == k


@pytest.mark.parametrize(
    ("count", "ascending"),
    [(count, ascending) for count in (6, 10, 25) for ascending in (False, True)],
)
@pytest.mark.parametrize("check", [True, False])
def test_more_exact_start_vectors_than_pairs(count, ascending, check):
    matrix = MATRICES["wigner"]
    eigenvectors = np.linalg.eigh(matrix)[1][:, -count:]
    start = eigenvectors if ascending else eigenvectors[:, ::-1]
    pairs = solve(matrix, start=start, check_multiplicity=check)
    check_values(matrix, pairs, 5)


@pytest.mark.parametrize("count", [1, 7, 20])
def test_random_start_vectors(count):
    matrix = MATRICES["wigner"]
    start = np.random.default_rng(0).standard_normal((200, count))
    check_values(matrix, solve(matrix, start=start, tol=1e-8), 5)


@pytest.mark.parametrize("count", [30, 59, 60, 200])
def test_many_start_vectors_are_used_or_refused(count):
    matrix = MATRICES["wigner"]
    start = np.random.default_rng(0).standard_normal((200, count))
    try:
        pairs = solve(matrix, start=start, max_matvecs=400)
    except ValueError:
        return
    check_values(matrix, pairs, 5)


@pytest.mark.parametrize("size", [5, 12, 60])
def test_start_vectors_that_span_everything(size):
    matrix = wigner(size)
    for start in (np.eye(size), np.linalg.eigh(matrix)[1], np.linalg.eigh(matrix)[1][:, ::-1]):
        for which in SIDES:
            check_values(matrix, solve(matrix, 2, which=which, start=start), 2, which)


def test_useless_start_vectors_do_no_harm():
    matrix = MATRICES["wigner"]
    eigenvectors = np.linalg.eigh(matrix)[1]
    ones, zeros = np.ones(200), np.zeros(200)
    starts = {
        "zero": zeros,
        "zeros": np.zeros((200, 3)),
        "twice": np.stack([ones, 2 * ones], axis=1),
        "nearly twice": np.stack([ones, ones * (1 + 1e-12 * np.arange(200))], axis=1),
        "zero and one": np.stack([zeros, ones, zeros], axis=1),
        "tiny": 1e-200 * ones,
        "huge": 1e150 * ones,
        "wrong end": eigenvectors[:, :5],
        "middle": eigenvectors[:, 100],
        "tensor": torch.ones(200),
        "integers": np.ones(200, dtype=int),
        "one column": ones[:, None],
    }
    for start in starts.values():
        check_values(matrix, solve(matrix, start=start), 5)


def test_a_vector_and_its_column_are_one_start():
    matrix, start = MATRICES["wigner"], np.random.default_rng(5).standard_normal(200)
    first, second = solve(matrix, start=start), solve(matrix, start=start[:, None])
    np.testing.assert_array_equal(first.values, second.values)


def test_seed_determines_every_bit():
    for matrix in (MATRICES["wigner"], rotated(np.r_[5, 5, 5, 4, bulk(100)])):
        first, again, other = (solve(matrix, seed=seed) for seed in (3, 3, 4))
        for name in ("values", "residuals", "vectors"):
            np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        assert first.matvecs == again.matvecs
        assert not np.array_equal(first.residuals, other.residuals)
        np.testing.assert_allclose(first.values, other.values, rtol=1e-8)
        torch.manual_seed(1)
        with_state = solve(matrix, seed=3)
        np.testing.assert_array_equal(first.values, with_state.values)


def test_values_alone_are_the_values_with_vectors():
    matrix = MATRICES["wigner"]
    with_vectors, without = solve(matrix), top_eigenpairs(Dense(matrix), 5)
    assert without.vectors is None
    np.testing.assert_array_equal(with_vectors.values, without.values)
    np.testing.assert_array_equal(with_vectors.residuals, without.residuals)


def test_wrong_arguments_are_told():
    operator = Dense(np.eye(4))
    with pytest.raises(ValueError, match="which"):
        top_eigenpairs(operator, 2, which="LM")
    with pytest.raises(ValueError, match="k is at least 1"):
        top_eigenpairs(operator, 0)
    assert operator.products == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_an_error(bad):
    matrix = MATRICES["wigner"].copy()
    matrix[3, 3] = bad
    with pytest.raises(ValueError, match="NaN or infinity"):
        top_eigenpairs(Dense(matrix), 3)


# -- through HessianOperator -----------------------------------------------------------------------


def cross_entropy(outputs, targets):
    return functional.cross_entropy(outputs, targets)


def squared_error(outputs, targets):
    return functional.mse_loss(outputs, functional.one_hot(targets, outputs.shape[1]).to(outputs))


def hessian(inputs, hidden, *, examples, classes=3, loss=cross_entropy, seed=0, constant=0):
    """The operator of a small perceptron, the first inputs constant over the batch; its matrix."""
    torch.manual_seed(seed)
    network = mlp((inputs,), classes, hidden=hidden, activation="tanh").double()
    x = torch.randn(examples, inputs, dtype=torch.float64)
    x[:, :constant] = torch.linspace(-1, 2, constant, dtype=torch.float64)
    y = torch.randint(classes, (examples,))
    operator = HessianOperator(network, loss, x, y)
    matrix = operator @ np.eye(operator.shape[0])
    # The operator without the restriction to the inputs' span, as another way to the matrix.
    plain = HessianOperator(network, loss, [(x, y)]) @ np.eye(operator.shape[0])
    np.testing.assert_allclose(matrix, plain, rtol=0, atol=1e-13 * np.linalg.norm(plain))
    return operator, (matrix + matrix.T) / 2


PROBLEMS = {
    "small batch": {"inputs": 20, "hidden": (5,), "examples": 4},
    "constant pixels": {"inputs": 20, "hidden": (5,), "examples": 30, "constant": 8},
    "large batch": {"inputs": 6, "hidden": (5, 4), "examples": 30},
    "regression": {"inputs": 15, "hidden": (), "examples": 4},
    "squared error": {"inputs": 20, "hidden": (4,), "examples": 5, "loss": squared_error},
    "one example": {"inputs": 20, "hidden": (3,), "examples": 1},
}


@pytest.mark.parametrize(
    ("name", "which"),
    [(name, which) for name in PROBLEMS for which in SIDES],
)
def test_eigenpairs_of_a_network_in_full_coordinates(name, which):
    operator, matrix = hessian(**PROBLEMS[name])
    pairs = top_eigenpairs(operator, 4, which=which, tol=1e-9, vectors=True)
    assert pairs.converged
    exact = wanted(np.linalg.eigvalsh(matrix), 4, which)
    scale = np.abs(np.linalg.eigvalsh(matrix)).max()
    np.testing.assert_allclose(pairs.values, exact, rtol=1e-8, atol=50 * EPS * scale)
    check_certificates(matrix, pairs)
    images = operator @ pairs.vectors
    np.testing.assert_allclose(images, pairs.vectors * pairs.values, rtol=0, atol=2e-9 * scale)


@pytest.mark.parametrize(
    ("name", "which"),
    [
        (name, which)
        for name in ("small batch", "regression", "constant pixels", "one example")
        for which in ("largest", "smallest")
    ],
)
def test_null_space_ranks_between_the_signs(name, which):
    operator, matrix = hessian(**PROBLEMS[name])
    assert operator.core.shape[0] < operator.shape[0]
    eigenvalues = np.linalg.eigvalsh(matrix)
    sign = 1 if which == "largest" else -1
    scale = np.abs(eigenvalues).max()
    k = int((sign * eigenvalues > 1e-12 * scale).sum()) + 3
    pairs = top_eigenpairs(operator, k, which=which, tol=1e-9, vectors=True)
    assert pairs.converged
    exact = wanted(eigenvalues, k, which)
    np.testing.assert_allclose(pairs.values, exact, rtol=1e-8, atol=50 * EPS * scale)
    zeros = np.sort(np.abs(pairs.values))[:3]
    assert (zeros <= 50 * EPS * scale).all()
    check_certificates(matrix, pairs)


def test_all_pairs_of_a_network():
    operator, matrix = hessian(**PROBLEMS["small batch"])
    size = operator.shape[0]
    for which in SIDES:
        for k in (size // 2, size - 1, size):
            pairs = top_eigenpairs(operator, k, which=which, tol=1e-9, vectors=True)
            exact = wanted(np.linalg.eigvalsh(matrix), k, which)
            assert pairs.values.shape == exact.shape
            np.testing.assert_allclose(pairs.values, exact, rtol=0, atol=1e-9)
            check_certificates(matrix, pairs)


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("examples", [4, 40])
@pytest.mark.parametrize("k", [1, 5, 10])
def test_linear_regression_has_eigenvalues_as_often_as_outputs(classes, examples, k):
    # f = W x + b with squared error: H = (2 / (n c)) sum_i (x_i, 1)(x_i, 1)^T (x) 1_c
    operator, matrix = hessian(
        10, (), classes=classes, examples=examples, loss=squared_error, constant=2
    )
    pairs = top_eigenpairs(operator, k, tol=1e-9, vectors=True)
    exact = np.sort(np.linalg.eigvalsh(matrix))[::-1]
    groups = exact[: (len(exact) // classes) * classes].reshape(-1, classes)
    assert np.ptp(groups, axis=1).max() < 1e-13 * exact[0]
    np.testing.assert_allclose(pairs.values, exact[:k], rtol=1e-8, atol=50 * EPS * exact[0])
    check_certificates(matrix, pairs)


def test_start_vectors_in_full_coordinates():
    operator, matrix = hessian(**PROBLEMS["small batch"])
    cold = top_eigenpairs(operator, 3, tol=1e-9, vectors=True)
    warm = top_eigenpairs(operator, 3, tol=1e-9, start=cold.vectors)
    assert warm.matvecs < cold.matvecs
    np.testing.assert_allclose(warm.values, cold.values, rtol=1e-12)
    # A start vector that the isometry's range does not hold
    T = operator.isometry
    v = torch.randn(operator.shape[0], dtype=torch.float64)
    outside = v - T.extend(T.restrict(v))
    np.testing.assert_allclose(
        top_eigenpairs(operator, 3, tol=1e-9, start=outside).values, cold.values, rtol=1e-12
    )
    check_values(matrix, cold, 3)


def test_products_are_counted_once():
    operator, _ = hessian(**PROBLEMS["small batch"])
    before = operator.matvecs
    pairs = top_eigenpairs(operator, 3)
    assert operator.matvecs - before == pairs.matvecs


@pytest.mark.parametrize("k", [3, 12, 40])
def test_single_precision_networks_converge_to_their_round_off(k):
    torch.manual_seed(0)
    network = mlp((20,), 3, hidden=(5,))
    x, y = torch.randn(4, 20), torch.randint(3, (4,))
    exact = np.linalg.eigvalsh(
        HessianOperator(network.double(), cross_entropy, x.double(), y).matmat(np.eye(123))
    )
    pairs = top_eigenpairs(HessianOperator(network.float(), cross_entropy, x, y), k, tol=1e-5)
    assert pairs.converged
    atol = pairs.residuals.max() + 50 * np.finfo(np.float32).eps * np.abs(exact).max()
    np.testing.assert_allclose(pairs.values, wanted(exact, k, "largest"), rtol=0, atol=atol)


def test_null_vectors_of_a_low_rank_matrix_across_restarts():
    factor = np.random.default_rng(1).standard_normal((300, 20))
    matrix = factor @ factor.T / 600
    check_values(matrix, solve(matrix, 25, max_matvecs=600), 25)


def test_certificates_of_a_confident_network_in_single_precision():
    # A small loss: the products' error is some 30 eps ||H||, no longer eps ||H||.
    torch.manual_seed(0)
    centres = torch.randn(10, 784)
    y = torch.randint(10, (512,))
    x = 0.3 * (0.5 * centres[y] + torch.randn(512, 784))
    network = mlp((784,), 10, hidden=(10, 30))
    optimiser = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9)
    for _ in range(200):
        optimiser.zero_grad()
        cross_entropy(network(x), y).backward()
        optimiser.step()
    x, y = x[:16], y[:16]
    operator = HessianOperator(network, cross_entropy, x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pairs = top_eigenpairs(operator, 5, max_matvecs=400, vectors=True)
    exact = HessianOperator(copy.deepcopy(network).double(), cross_entropy, x.double(), y)
    true = np.linalg.norm(exact @ pairs.vectors - pairs.vectors * pairs.values, axis=0)
    assert pairs.matvecs < 100
    assert (true <= 2 * pairs.residuals + 1e-6 * pairs.values[0]).all()
