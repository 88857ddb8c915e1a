"""What a Krylov space of a random vector may have missed: a bound, and nearly an equality."""

import numpy as np
import pytest
from scipy.stats import beta as beta_law

from hessian_rmt.curvature.unseen import KrylovChain


def chain_of(eigenvalues, weights, steps, dimension):
    """Lanczos with full re-orthogonalisation on a diagonal matrix."""
    basis = [np.sqrt(weights / np.sum(weights))]
    alphas, betas = [], []
    for _ in range(steps):
        image = eigenvalues * basis[-1]
        alphas.append(basis[-1] @ image)
        rows = np.array(basis)
        for _ in range(2):
            image = image - rows.T @ (rows @ image)
        betas.append(np.linalg.norm(image))
        basis.append(image / betas[-1])
    return KrylovChain(np.array(alphas), np.array(betas), dimension)


def highs_by_steps(eigenvalues, rng, probability):
    """The reach after one step, two, ... of one random start."""
    whole = random_chain(eigenvalues, 6, rng)
    return [
        KrylovChain(whole.alphas[:m], whole.betas[:m], whole.dimension).reach(probability)[1]
        for m in range(1, 7)
    ]


def random_chain(eigenvalues, steps, rng):
    weights = rng.standard_normal(len(eigenvalues)) ** 2
    return chain_of(eigenvalues, weights, steps, len(eigenvalues))


SPECTRA = {
    "one outlier": lambda rng, n: np.r_[0.01 * rng.standard_normal(n - 1), 1.0],
    "near the bulk": lambda rng, n: np.r_[np.sort(rng.uniform(-1, 1, n - 1)), 1.02],
    "heavy tails": lambda rng, n: np.sort(rng.standard_cauchy(n)),
    "many zeros": lambda rng, n: np.r_[np.zeros(n - 12), np.linspace(-1, 1, 12)],
}


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("steps", [1, 3, 8])
def test_a_weight_is_at_most_the_christoffel_function(name, steps):
    """Deterministic: q at an eigenvalue bounds what its own weight in the start amounts to."""
    rng, n, outside = np.random.default_rng(0), 200, 0
    for _ in range(20):
        eigenvalues = SPECTRA[name](rng, n)
        weights = rng.standard_normal(n) ** 2
        chain = chain_of(eigenvalues, weights, steps, n)
        for x, weight in zip(eigenvalues, weights / weights.sum(), strict=True):
            if not chain.low - 1e-10 <= x <= chain.high + 1e-10:  # else it has been found
                outside += 1
                assert chain.unseen_probability(x) >= min(1, np.sqrt(2 * n * weight / np.pi)) * (
                    1 - 1e-8
                )
    assert outside > 0


@pytest.mark.parametrize("name", SPECTRA)
def test_eigenvalues_beyond_the_reach_are_as_rare_as_said_even_when_stopped_early(name):
    """Over random starts, at the first number of steps for which the reach excludes the largest."""
    rng, probability, trials = np.random.default_rng(1), 0.2, 1000
    eigenvalues = SPECTRA[name](rng, 300)
    highs = [highs_by_steps(eigenvalues, rng, probability) for _ in range(trials)]
    missed = np.min(highs, axis=1) < eigenvalues.max() - 1e-9 * np.ptp(eigenvalues)
    # one end has half of the probability; three standard errors
    allowed = probability / 2
    assert missed.mean() <= allowed + 3 * np.sqrt(allowed * (1 - allowed) / trials)


def test_the_bound_is_sharp_for_a_separate_eigenvalue():
    """Its weight is all that its Christoffel function leaves: misses are as frequent as allowed."""
    rng, probability, trials = np.random.default_rng(2), 0.2, 1000
    eigenvalues = SPECTRA["one outlier"](rng, 300)
    highs = [highs_by_steps(eigenvalues, rng, probability) for _ in range(trials)]
    missed = np.min(highs, axis=1) < eigenvalues.max() - 1e-6
    assert missed.mean() > 0.7 * probability / 2


@pytest.mark.parametrize("dimension", [3, 10, 1000])
def test_the_law_of_a_random_vectors_weight_is_bounded(dimension):
    """P((u^T r)^2 <= w) of r on the sphere, a beta law, against sqrt(2 N w / pi)."""
    w = np.logspace(-12, 0, 200)
    exact = beta_law(0.5, (dimension - 1) / 2).cdf(w)
    assert (exact <= np.sqrt(2 * dimension * w / np.pi) * (1 + 1e-9)).all()


def test_reach_and_probability_are_inverse_to_each_other():
    rng = np.random.default_rng(3)
    chain = random_chain(rng.standard_normal(400), 12, rng)
    for probability in (0.5, 0.01, 1e-6):
        for end in chain.reach(probability):
            assert np.isclose(chain.unseen_probability(end), probability / 2, rtol=1e-6)
    assert chain.unseen_probability((chain.low + chain.high) / 2) == 1.0


def test_polynomials_far_from_their_zeros_do_not_overflow():
    chain = random_chain(
        np.random.default_rng(4).uniform(-1, 1, 2000), 300, np.random.default_rng(5)
    )
    with np.errstate(over="raise", invalid="raise"):
        assert chain.unseen_probability(1e6) == 0.0
        low, high = chain.reach(0.01)
    assert -1.001 < low <= chain.low
    assert chain.high <= high < 1.001


def test_a_krylov_space_that_ends_has_missed_nothing():
    chain = KrylovChain(np.array([1.0, 2.0]), np.array([0.5, 0.0]), 100)
    assert chain.reach(0.01) == (chain.low, chain.high)
    assert chain.unseen_probability(chain.high + 1e-9) == 0.0
