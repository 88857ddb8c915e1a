"""Free additive convolution against closed forms, theorems and sampled matrices."""

import numpy as np
import pytest

from hessian_rmt.rmt import free_edges
from hessian_rmt.rmt.discrete_laws import Atoms, Empirical
from hessian_rmt.rmt.ensembles import goe, haar_orthogonal, regular_graph, wishart
from hessian_rmt.rmt.free_convolution import (
    FreeSum,
    free_additive_convolution,
    product_wishart,
)
from hessian_rmt.rmt.laws import KestenMcKay, MarchenkoPastur, Semicircle

BERNOULLI = Atoms([-1.0, 1.0])
LAWS = {
    "semicircle": Semicircle(0.3, -1.0),
    "marchenko-pastur": MarchenkoPastur(0.6),
    "with atom": MarchenkoPastur(2.5, 0.7),
    "kesten-mckay": KestenMcKay(3),
    "atoms": Atoms([0.0, 1.0, 3.0], [0.2, 0.5, 0.3]),
    "empirical": Empirical(np.random.default_rng(2).standard_normal(30)),
}
PAIRS = [(a, b) for i, a in enumerate(LAWS) for b in list(LAWS)[i:]]
pairs = pytest.mark.parametrize(("a", "b"), PAIRS)


def density_of_polynomial(coefficients, x):
    """Largest |Im root| / pi of the polynomial in g, whose coefficients (n, degree) depend on x."""
    return np.array([np.max(np.roots(c).imag) / np.pi for c in np.transpose(coefficients(x))])


def inside(law, n=400, margin=0.01):
    bands = [np.linspace(a + margin * (b - a), b - margin * (b - a), n) for a, b in law.support]
    return np.concatenate(bands)


def cubic(ratio, variance):  # `universality` 3.3, `geometry` (18) with 2 epsilon = variance
    def coefficients(z):
        one = np.ones_like(z)
        return variance * ratio * one, -(variance + z * ratio), z + ratio - 1, -one

    return coefficients


def quartic(d):  # errata
    def coefficients(z):
        one = np.ones_like(z)
        return -one / 4, z, d**2 - z**2 + (d - 2) / 2, -(d - 2) * z, (d - 1) * one

    return coefficients


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75, 2.0])
@pytest.mark.parametrize("epsilon", [0.01, 0.1, 1.0])
def test_semicircle_and_marchenko_pastur(ratio, epsilon):
    law = free_additive_convolution(Semicircle(2 * epsilon), MarchenkoPastur(ratio))
    x = inside(law)
    expected = density_of_polynomial(cubic(ratio, 2 * epsilon), x)
    np.testing.assert_allclose(law.density(x), expected, atol=1e-10)


@pytest.mark.parametrize("d", [3, 10])
def test_semicircle_and_kesten_mckay(d):
    law = free_additive_convolution(KestenMcKay(d), Semicircle(0.5))
    x = inside(law)
    np.testing.assert_allclose(law.density(x), density_of_polynomial(quartic(d), x), atol=1e-10)


@pytest.mark.parametrize(("ratio", "other"), [(0.5, 0.5), (0.3, 0.8), (1.5, 3.0)])
def test_two_marchenko_pasturs(ratio, other):
    """z = 1/g + 1/(1 - a g) + 1/(1 - b g), a cubic; equal ratios add up: Wishart of 2 m columns."""
    law = free_additive_convolution(MarchenkoPastur(ratio), MarchenkoPastur(other))
    a, b = ratio, other

    def coefficients(z):
        return a * b * z, -(a + b) * z - a * b + a + b, z + a + b - 2, -np.ones_like(z)

    x = inside(law)
    np.testing.assert_allclose(law.density(x), density_of_polynomial(coefficients, x), atol=1e-10)
    if ratio == other:
        joint = MarchenkoPastur(ratio / 2, 2.0)
        np.testing.assert_allclose(law.density(x), joint.density(x), atol=1e-10)
        np.testing.assert_allclose(law.support, joint.support, atol=1e-9)


def test_two_bernoullis_are_arcsine():
    law, arcsine = free_additive_convolution(BERNOULLI, BERNOULLI), KestenMcKay(2)
    x = inside(law)
    np.testing.assert_allclose(law.support, [(-2, 2)], atol=1e-12)
    np.testing.assert_allclose(law.density(x), arcsine.density(x), atol=1e-10)
    np.testing.assert_allclose(law.cdf(x), arcsine.cdf(x), atol=1e-10)
    assert law.atoms == []
    third = free_additive_convolution(law, BERNOULLI)
    np.testing.assert_allclose(third.density(x), KestenMcKay(3).density(x), atol=1e-10)
    np.testing.assert_allclose(third.support, KestenMcKay(3).support, atol=1e-9)


def test_two_semicircles():
    simple = free_additive_convolution(Semicircle(0.5), Semicircle(0.5))
    assert simple == Semicircle(1.0)  # radius 2, as the paper says
    general = FreeSum(Semicircle(0.5), Semicircle(0.5))
    np.testing.assert_allclose(general.support, simple.support, atol=1e-9)
    np.testing.assert_allclose(general.density(inside(simple)), simple.density(inside(simple)))


@pairs
def test_certified_mass_and_cumulants(a, b):
    """Residuals are small, the mass is one, and the free cumulants 1 to 4 add up."""
    mu, nu = LAWS[a], LAWS[b]
    law = FreeSum(mu, nu)
    solved = law.subordination(inside(law, 50))
    assert solved.residual.max() < 1e-12
    assert np.all(solved.omega.imag > 0)
    tolerance = 2e-3 if "empirical" in (a, b) else 1e-7  # densities with a peak at every atom
    assert law.expect(np.ones_like) == pytest.approx(1, abs=tolerance)
    expected = np.add(free_cumulants(mu), free_cumulants(nu))
    np.testing.assert_allclose(free_cumulants(law), expected, atol=100 * tolerance)


def free_cumulants(law):
    m = [law.expect(lambda x, k=k: (x - law.mean) ** k) for k in (2, 3, 4)]
    return [law.mean, m[0], m[1], m[2] - 2 * m[0] ** 2]


@pairs
def test_commutative(a, b):
    one, two = FreeSum(LAWS[a], LAWS[b]), FreeSum(LAWS[b], LAWS[a])
    np.testing.assert_allclose(one.support, two.support, atol=1e-9)
    np.testing.assert_allclose(
        one.density(inside(one, 30)), two.density(inside(one, 30)), atol=1e-9
    )


@pytest.mark.parametrize("c", LAWS)
def test_associative(c):
    mu, nu, rho = MarchenkoPastur(0.6), Atoms([0.0, 4.0], [0.7, 0.3]), LAWS[c]
    left, right = FreeSum(FreeSum(mu, nu), rho), FreeSum(mu, FreeSum(nu, rho))
    np.testing.assert_allclose(left.support, right.support, atol=1e-9)
    x = inside(left, 30)
    np.testing.assert_allclose(left.density(x), right.density(x), atol=1e-9)


@pytest.mark.parametrize("name", LAWS)
def test_point_mass_shifts(name):
    law, z = LAWS[name], np.array([0.3 + 1j, -2 + 0.1j])
    moved = free_additive_convolution(law, Atoms([2.0]))
    np.testing.assert_allclose(moved.stieltjes(z), law.stieltjes(z - 2), atol=1e-13)


@pairs
def test_edges_and_gaps(a, b):
    """Just inside an edge the density is positive, just outside zero; off the support g is real
    and matches the limit from the upper half plane."""
    law = FreeSum(LAWS[a], LAWS[b])
    ends = np.array(law.support)
    width = ends[:, 1] - ends[:, 0]
    step = 1e-7 * width
    assert np.all(law.density(ends + np.stack([step, -step], 1)) > 0)
    assert np.all(np.diff(ends.ravel()) > 0)
    outside = np.r_[ends[0, 0] - 1, (ends[1:, 0] + ends[:-1, 1]) / 2, ends[-1, 1] + 1]
    outside = outside[~np.isin(outside, [x for x, _ in law.atoms])]
    g = law.stieltjes(outside)
    assert np.all(g.imag == 0)
    np.testing.assert_allclose(law.stieltjes(outside + 1e-9j).real, g.real, rtol=1e-4, atol=1e-4)


def test_atoms():
    mu, nu = Atoms([0.0, 1.0, 5.0], [0.7, 0.2, 0.1]), MarchenkoPastur(4.0)
    law = free_additive_convolution(mu, nu)
    assert [x for x, _ in law.atoms] == [0.0]
    assert law.atoms[0][1] == pytest.approx(0.7 + 0.75 - 1)
    assert law.expect(np.ones_like) == pytest.approx(1, abs=1e-9)
    # it survives another convolution only with enough mass
    assert FreeSum(law, Atoms([0.0, 1.0], [0.5, 0.5])).atoms == []
    (atom,) = FreeSum(law, Atoms([-1.0, 1.0], [0.9, 0.1])).atoms
    assert atom == (-1.0, pytest.approx(0.35))


@pytest.mark.parametrize("seed", range(40))
def test_semicircle_and_atoms_have_the_right_edges(seed):
    """Edges from the real roots of the polynomial sum m / (w - x)^2 = 1 / variance."""
    rng = np.random.default_rng(seed)
    count = rng.integers(2, 6)
    atoms = Atoms(3 * rng.standard_normal(count), rng.dirichlet(np.ones(count)) + 0.02)
    variance = 10 ** rng.uniform(-2, 0.5)
    x, m = atoms.positions, atoms.weights
    squares = [np.poly(np.repeat(np.delete(x, k), 2)) * m[k] for k in range(len(x))]
    roots = np.roots(np.polysub(np.poly(np.repeat(x, 2)), variance * np.sum(squares, 0)))
    w = np.sort(roots.real[np.abs(roots.imag) < 1e-7 * (1 + np.abs(roots))])
    w = np.array([_polish(r, x, m, variance) for r in w])
    edges = np.sort(w + variance * np.sum(m / (w[:, None] - x), axis=1))
    law = free_additive_convolution(atoms, Semicircle(variance))
    np.testing.assert_allclose(np.ravel(law.support), edges, atol=1e-9)
    general = free_edges._openings(atoms, Semicircle(variance))  # the search for any two laws
    assert len(general.low) == len(law.support)


@pytest.mark.parametrize("mass", [0.5, 0.1, 0.003])
@pytest.mark.parametrize("distance", [1e-3, 1.0, 10.0, 30.0, 300.0, 1e4])
def test_two_atoms_part_at_the_variance_of_their_bound(mass, distance):
    """min m / t^2 + m' / (d - t)^2 = (m^(1/3) + m'^(1/3))^3 / d^2 rules gaps out."""
    atoms = Atoms([-1.0, distance - 1.0], [mass, 1 - mass])
    critical = distance**2 / (np.cbrt(mass) + np.cbrt(1 - mass)) ** 3
    for factor, intervals in ((1 - 1e-6, 2), (1 + 1e-6, 1)):
        semicircle = Semicircle(factor * critical)
        assert len(free_additive_convolution(atoms, semicircle).support) == intervals
        assert len(free_edges._openings(atoms, semicircle).low) == intervals


def _polish(w, x, m, variance):
    for _ in range(30):
        value = np.sum(m / (w - x) ** 2) - 1 / variance
        w = w + value / np.sum(2 * m / (w - x) ** 3)
    return w


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9])
def test_critical_energy_of_wishart_plus_wigner(ratio):
    """At epsilon_c of `geometry` (21) the lower edge reaches zero."""
    critical = (1 - 20 * ratio - 8 * ratio**2 + (1 + 8 * ratio) ** 1.5) / 16
    law = free_additive_convolution(MarchenkoPastur(ratio), Semicircle(2 * critical))
    assert law.support[0][0] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9])
def test_critical_energy_of_the_product_wishart(ratio):
    """The same for (29) and (32), with sigma = 1; and R is (28)."""
    chi = 1 + 16 * ratio - 8 * ratio**2
    critical = (27 - 18 * chi - chi**2 + 8 * chi**1.5) / (32 * ratio * (1 - ratio) ** 3)
    h1, y = product_wishart(critical, ratio), np.array([-0.1, 0.2])
    expected = critical * ratio * y / (2 - critical * ratio**2 * y**2)
    np.testing.assert_allclose(h1.r_transform(y), expected)
    law = free_additive_convolution(MarchenkoPastur(ratio), h1)
    assert law.support[0][0] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", ["goe+wishart", "graph+goe", "rotated"])
def test_spectra_of_sampled_sums(name):
    rng, n = np.random.default_rng(8), 400
    if name == "goe+wishart":
        matrix = goe(n, rng) + wishart(n, rng)
        law = free_additive_convolution(Semicircle(0.5), MarchenkoPastur(0.5))
    elif name == "graph+goe":
        matrix = regular_graph(n, rng) + goe(n, rng)
        law = free_additive_convolution(KestenMcKay(3), Semicircle(0.5))
    else:
        d, q = np.repeat([0.0, 1.0, 4.0], [200, 120, 80]), haar_orthogonal(n, rng)
        e = np.repeat([-1.0, 0.0], [100, 300])
        matrix = np.diag(d) + (q * e) @ q.T
        law = free_additive_convolution(Atoms(d), Atoms(e))
    eigenvalues = np.linalg.eigvalsh((matrix + matrix.T) / 2)
    # rigidity: far below the n^(-1/2) of independent draws; atoms are hit up to round-off
    distance = np.abs(law.cdf(eigenvalues + 1e-9) - np.arange(1, n + 1) / n)
    near_atom = [np.abs(eigenvalues - x) < 1e-8 for x, _ in law.atoms]
    assert np.max(distance[~np.any(near_atom, axis=0)] if near_atom else distance) < 6 / n


def test_uncertified_roots_are_not_returned(monkeypatch):
    monkeypatch.setattr("hessian_rmt.rmt.free_convolution.DESCENTS", ((0.5, 1.9, 1, 1),))
    law = FreeSum(MarchenkoPastur(0.5), KestenMcKay(3))
    with pytest.raises(ArithmeticError, match="no certified root"):
        law.density(np.linspace(0, 1, 5))
