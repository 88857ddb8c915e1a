"""Laws of eigenvalues: densities, transforms and distribution functions of one measure agree."""

import numpy as np
import pytest
from scipy.integrate import quad

from hessian_rmt.rmt.discrete_laws import Atoms, Empirical
from hessian_rmt.rmt.free_convolution import FreeSum, product_wishart
from hessian_rmt.rmt.laws import Affine, KestenMcKay, MarchenkoPastur, Semicircle
from hessian_rmt.rmt.potentials import Potential

LAWS = {
    "semicircle": Semicircle(0.5, 1.0),
    "marchenko-pastur": MarchenkoPastur(0.5),
    "hard edge": MarchenkoPastur(1.0),
    "atom": MarchenkoPastur(3.0, 2.0),
    "kesten-mckay": KestenMcKay(3),
    "arcsine": KestenMcKay(2),
    "mirrored": Affine(MarchenkoPastur(3.0), -2.0, 1.0),
    "atoms": Atoms([0.0, 1.0, 3.0], [0.2, 0.5, 0.3]),
    "empirical": Empirical(np.random.default_rng(1).standard_normal(40)),
    "free sum": FreeSum(MarchenkoPastur(0.5), KestenMcKay(3)),
    "bands and atom": FreeSum(MarchenkoPastur(3.0), Atoms([0.0, 9.0], [0.8, 0.2])),
    "three laws": FreeSum(product_wishart(1.0, 0.5), MarchenkoPastur(0.5)),
}
laws = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)


def points(n=200, seed=0):
    rng = np.random.default_rng(seed)
    return 3 * rng.standard_normal(n) + 1j * rng.uniform(0.3, 3, n)


def hull(law):
    return law.gaps.right[0], law.gaps.left[0]


@laws
def test_mass_mean_and_variance(law):
    assert law.expect(np.ones_like) == pytest.approx(1, abs=1e-10)
    assert law.expect(lambda x: x) == pytest.approx(law.mean, abs=1e-10)
    assert law.expect(lambda x: (x - law.mean) ** 2) == pytest.approx(law.variance, abs=1e-9)


@laws
def test_stieltjes_is_the_integral(law):
    z = points(20)
    expected = [law.expect(lambda x, w=w: 1 / abs(w - x) ** 2 * (w.real - x)) for w in z]
    np.testing.assert_allclose(law.stieltjes(z).real, expected, atol=1e-10)
    expected = [law.expect(lambda x, w=w: -w.imag / abs(w - x) ** 2) for w in z]
    np.testing.assert_allclose(law.stieltjes(z).imag, expected, atol=1e-10)


@laws
def test_stieltjes_maps_half_planes_and_decays(law):
    z = points()
    assert np.all(law.stieltjes(z).imag < 0)
    np.testing.assert_allclose(law.stieltjes(z.conj()), law.stieltjes(z).conj())
    far = 1e6 * np.exp(1j * np.linspace(0.1, 3, 7))
    np.testing.assert_allclose(far * law.stieltjes(far), 1, atol=1e-4)


@laws
def test_derivative_of_h(law):
    z, step = points(50) + 1j, 1e-6
    slope = (law.h_transform(z + step)[0] - law.h_transform(z - step)[0]) / (2 * step)
    np.testing.assert_allclose(law.h_transform(z)[1], slope, atol=1e-8)


@laws
def test_density_is_the_limit_of_stieltjes(law):
    for left, right in law.support:
        x = np.linspace(left, right, 21)[1:-1]
        np.testing.assert_allclose(-law.stieltjes(x).imag / np.pi, law.density(x), atol=1e-12)


@laws
def test_inverse_on_every_gap(law):
    gaps = law.gaps
    for k in range(len(gaps.left)):
        y = gaps.nodes[k][5:-5]
        y = y[np.abs(y) > 1e-6]
        regular, slope = law.inverse(y, np.full(y.shape, k))
        z = regular + gaps.pole[k] / y
        np.testing.assert_allclose(law.stieltjes(z).real, y, rtol=1e-7, atol=1e-9)
        assert np.all(slope - gaps.pole[k] / y**2 < 1e-9)  # g falls on a gap


@laws
def test_quantile_inverts_cdf(law):
    q = np.linspace(0, 1, 60)
    x = law.quantile(q)
    assert np.all(np.diff(x) >= 0)
    at_atom = np.isin(x, [position for position, _ in law.atoms])
    np.testing.assert_allclose(law.cdf(x)[~at_atom], q[~at_atom], atol=1e-11)
    assert np.all(law.cdf(x) >= q - 1e-11)
    low, high = hull(law)
    np.testing.assert_array_equal(law.cdf(np.array([low - 1, high, high + 1])), [0, 1, 1])


@laws
def test_cdf_is_the_integral_of_the_density(law):
    for left, right in law.support:
        for a, b in ((0.2, 0.6), (0.5, 0.9)):
            ends = left + np.array([a, b]) * (right - left)
            mass = quad(lambda x: float(law.density(x)), *ends, epsabs=1e-11)[0]
            assert np.diff(law.cdf(ends))[0] == pytest.approx(mass, abs=1e-9)
    for position, mass in law.atoms:
        below, at = law.cdf(np.array([position - 1e-9, position]))
        assert at - below == pytest.approx(mass, abs=1e-7)


@laws
def test_affine(law):
    moved, z = law.affine(-2.0, 3.0), points(30)
    np.testing.assert_allclose(moved.stieltjes(z), -law.stieltjes((z - 3) / -2) / 2, atol=1e-11)
    np.testing.assert_allclose(
        moved.support, [(3 - 2 * b, 3 - 2 * a) for a, b in law.support[::-1]]
    )


@laws
def test_samples_follow_the_law(law):
    n = 2000
    x = np.sort(law.sample(n, np.random.default_rng(5)))
    # Dvoretzky, Kiefer, Wolfowitz: false with probability 2 exp(-2 n e^2) = 1e-6
    bound = np.sqrt(np.log(2e6) / (2 * n))
    assert np.max(law.cdf(x) - np.arange(n) / n) < bound + max([m for _, m in law.atoms], default=0)
    assert np.max(np.arange(1, n + 1) / n - law.cdf(x)) < bound


def test_r_transforms():
    y = np.array([-0.2, 0.1, 0.3])
    np.testing.assert_allclose(Semicircle(0.5, 1.0).r_transform(y), 1 + 0.5 * y)
    np.testing.assert_allclose(MarchenkoPastur(0.5, 2.0).r_transform(y), 2 / (1 - y))
    bernoulli = Atoms([-1.0, 1.0])
    np.testing.assert_allclose(3 * bernoulli.r_transform(y), KestenMcKay(3).r_transform(y))
    assert np.isnan(Semicircle().r_transform(2.0))


def test_bad_laws_are_refused():
    for make in (
        lambda: Semicircle(0.0),
        lambda: MarchenkoPastur(-1.0),
        lambda: KestenMcKay(1),
        lambda: Atoms([0.0, np.nan]),
        lambda: Atoms([0.0, 1.0], [1.0, -1.0]),
        lambda: Semicircle().quantile(1.5),
    ):
        with pytest.raises(ValueError):
            make()


# Potentials (`universality` App. A) ---------------------------------------------------------------


def test_potential_of_the_goe():
    potential, x = Potential(Semicircle(0.5)), np.linspace(-1.4, 1.4, 29)
    np.testing.assert_allclose(potential(x) - potential(0.0), x**2 / 2, atol=1e-13)
    np.testing.assert_allclose(potential.derivative(x), x, atol=1e-13)


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.9])
def test_potential_of_wishart(ratio):
    law = MarchenkoPastur(ratio)
    x = np.linspace(*law.support[0], 31)[1:-1]
    expected = x / (2 * ratio) - (1 / ratio - 1) / 2 * np.log(x)
    difference = Potential(law)(x) - expected
    np.testing.assert_allclose(difference, difference[0], atol=1e-13)


@pytest.mark.parametrize("name", ["semicircle", "marchenko-pastur", "free sum", "three laws"])
def test_potential_confines(name):
    """S_V is constant on the support, larger off it, and V' is the derivative of V."""
    law = LAWS[name]
    potential = Potential(law, constant=2.0)
    low, high = hull(law)
    x = np.linspace(low - 2, high + 2, 101)
    s = potential.effective(x)
    inside = law.density(x) > 0
    np.testing.assert_allclose(s[inside], 2.0, atol=1e-12)
    assert np.all(s[~inside] > 2.0)
    step = 1e-6
    slope = (potential(x + step) - potential(x - step)) / (2 * step)
    np.testing.assert_allclose(potential.derivative(x), slope, atol=1e-6)


def test_potential_is_the_logarithmic_integral():
    law = MarchenkoPastur(0.5)
    for x in (-1.0, 1.0, 5.0):
        near = [np.clip(x, *law.support[0])]
        integral = quad(
            lambda y, x=x: np.log(abs(x - y)) * float(law.density(y)), *law.support[0], points=near
        )[0]
        assert law.log_potential(x).real == pytest.approx(integral, abs=1e-7)
    with pytest.raises(ValueError, match="atoms"):
        Potential(MarchenkoPastur(2.0))
